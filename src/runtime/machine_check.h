#pragma once

#include "base/result.h"
#include "device/device.h"
#include "device/hardware_profile.h"
#include "plan/plan.h"

namespace neuros::runtime {

/// Whether this machine, with `device`, has what the plan counts on. kUnsupported with every
/// difference: "boot: this machine is not the one planned for: processor.cores: planned for 64,
/// here 8".
base::Result<> check_machine(const plan::Plan& plan, const device::Device& device);

/// What a plan counts on, as a profile to match.
base::Result<device::HardwareProfile> planned_machine(const plan::MachineFacts& machine);

}  // namespace neuros::runtime
