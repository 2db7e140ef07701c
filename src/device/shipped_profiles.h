#pragma once

#include "base/embedded_file.h"
#include "base/result.h"
#include "device/hardware_profile.h"

#include <span>
#include <string>

namespace neuros::device {

/// The files of profiles/, by name: "rtx-4090".
std::span<const base::EmbeddedFile> shipped_profiles();

/// A profile by the path of a file or, where there is none of that name, a shipped one by its name.
/// Where neither is: kNotFound, with the names there are.
base::Result<HardwareProfile> open_profile(const std::string& name_or_path);

}  // namespace neuros::device
