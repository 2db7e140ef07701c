#pragma once

#include "base/result.h"
#include "device/device.h"
#include "kernels/op_table.h"
#include "pipeline/launch_tuning.h"
#include "plan/plan.h"
#include "runtime/arenas.h"

#include <memory>
#include <utility>
#include <vector>

namespace neuros::pipeline {

/// Times whole decode steps of a model with made-up weights, all its matrices run one way or
/// another.
class StepTimer final : public LaunchTimer {
 public:
  /// Reserves the plan's memory and makes the weights up. All outlive the timer.
  static base::Result<std::unique_ptr<StepTimer>> create(const plan::Plan& plan,
                                                         const kernels::OpTable& ops,
                                                         device::Device& device);

  /// A way is that of all matrices, whatever else the key says than ChoiceOp::kDecodeStep. Other
  /// choices are the plan's.
  base::Result<std::vector<double>> time_us(const kernels::ChoiceKey& key,
                                            std::span<const Way> ways, int repetitions) override;

 private:
  StepTimer(const plan::Plan& plan, const kernels::OpTable& ops, device::Device& device,
            runtime::WorkArena work, runtime::Arenas arenas)
      : plan_(plan),
        ops_(ops),
        device_(device),
        work_(std::move(work)),
        arenas_(std::move(arenas)) {}

  const plan::Plan& plan_;
  const kernels::OpTable& ops_;
  device::Device& device_;
  const runtime::WorkArena work_;
  const runtime::Arenas arenas_;
};

}  // namespace neuros::pipeline
