#include "device/shipped_profiles.h"

#include "device/hardware_profile_yaml.h"

#include <filesystem>
#include <system_error>

namespace neuros::device {

extern const std::span<const base::EmbeddedFile> kShippedProfiles;  // made by CMake

std::span<const base::EmbeddedFile> shipped_profiles() {
  return kShippedProfiles;
}

base::Result<HardwareProfile> open_profile(const std::string& name_or_path) {
  std::error_code none;
  if (std::filesystem::is_regular_file(name_or_path, none)) return read_profile_file(name_or_path);
  std::string names;
  for (const base::EmbeddedFile& shipped : shipped_profiles()) {
    if (shipped.name == name_or_path) return parse_profile_yaml(shipped.text, name_or_path);
    names += (names.empty() ? "" : ", ") + std::string(shipped.name);
  }
  return base::fail("profile " + name_or_path + ": no such file, and none of " + names,
                    base::ErrorKind::kNotFound);
}

}  // namespace neuros::device
