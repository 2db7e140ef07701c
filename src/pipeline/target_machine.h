#pragma once

#include "base/result.h"
#include "device/device.h"
#include "kernels/op_table.h"
#include "pipeline/language_model.h"
#include "plan/fleet_plan.h"
#include "plan/machine.h"

#include <cstdint>
#include <string>

namespace neuros::pipeline {

/// The machine a plan is made for, and what of it the options leave.
struct TargetMachine {
  std::string device;       ///< "cpu", "cuda:0"
  std::string device_kind;  ///< Device::kind()
  const kernels::OpTable* ops = nullptr;
  int32_t workers = 1;
  int64_t memory_bytes = 0;  ///< budget of the plan
  int64_t host_free_bytes = 0;
  plan::OnloadRates onload{};  ///< where a profile says how fast weights come
  plan::MachineFacts facts;
};

/// That of options.planned_for or, without one, this machine. A profile's is not opened; what it
/// leaves out of the host is this machine's, and its budget is what a machine at rest has free
/// unless the options give one.
base::Result<TargetMachine> target_machine(const ModelOptions& options);
/// The same for a boot on `device`.
base::Result<TargetMachine> target_machine(const ModelOptions& options,
                                           const device::Device& device);

}  // namespace neuros::pipeline
