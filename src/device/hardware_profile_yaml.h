#pragma once

/// Hardware profiles as files: docs/formats/hardware-profile.md.

#include "base/result.h"
#include "device/hardware_profile.h"

#include <string>
#include <string_view>

namespace neuros::device {

inline constexpr size_t kProfileBytesMax = size_t{64} << 10;

/// The file's text. Rates have four digits; what is not known is left out.
std::string write_profile_yaml(const HardwareProfile& profile);

/// Reads what write_profile_yaml, or a person, wrote. Errors name file, line, column and key:
/// "machine.yaml:27:19: gpus[0].memory_bytes: -1, expected 1 to 1125899906842624".
base::Result<HardwareProfile> parse_profile_yaml(std::string_view text, const std::string& file);

/// Of a file; kNotFound where there is none.
base::Result<HardwareProfile> read_profile_file(const std::string& path);
base::Result<> write_profile_file(const HardwareProfile& profile, const std::string& path);

}  // namespace neuros::device
