#include "device/hardware_profile_yaml.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

/// Any bytes as a profile; one that is read is read again from what is written of it, and written
/// alike.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::device;
  const auto profile = parse_profile_yaml({reinterpret_cast<const char*>(data), size}, "fuzz.yaml");
  if (!profile) return 0;
  const std::string written = write_profile_yaml(*profile);
  const auto again = parse_profile_yaml(written, "written.yaml");
  if (!again && written.size() <= kProfileBytesMax) std::abort();
  if (again && write_profile_yaml(*again) != written) std::abort();
  return 0;
}
