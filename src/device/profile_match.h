#pragma once

#include "base/result.h"
#include "device/hardware_profile.h"

#include <string>
#include <vector>

namespace neuros::device {

/// Where a machine differs from the one that was planned for.
struct ProfileMatch {
  std::vector<std::string>
      refusals;  ///< "gpus[0].memory_bytes: planned for 141.0 GB, here 80.0 GB"
  std::vector<std::string> warnings;  ///< the plan holds, its times do not
};

/// What is not in `planned_for` is not compared; having more never differs, but for the compute
/// capability of GPUs, by which kernels are chosen.
ProfileMatch match_profiles(const HardwareProfile& planned_for, const HardwareProfile& here);

/// kUnsupported with every refusal.
base::Result<> check_match(const HardwareProfile& planned_for, const HardwareProfile& here);

}  // namespace neuros::device
