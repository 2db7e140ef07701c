#pragma once

#include "device/hardware_profile.h"

#include <string>

namespace neuros::cli {

/// A page a person reads of what was measured, and the same as JSON; both end their last line.
std::string profile_report(const device::HardwareProfile& profile);
std::string profile_report_json(const device::HardwareProfile& profile);

}  // namespace neuros::cli
