#pragma once

#include "device/device.h"
#include "kernels/op_table.h"
#include "pipeline/launch_tuning.h"

#include <memory>
#include <span>
#include <vector>

namespace neuros::pipeline {

/// Times products on a device by the ops of a table, with made-up numbers. The preparation of
/// activations is in the time. Launches follow each other as in a model: recorded, each with other
/// weights than the ones before it.
class ProductTimer final : public LaunchTimer {
 public:
  /// Reserves what the largest of `keys` needs, and a gigabyte of weights. Ops and device outlive
  /// the timer.
  static base::Result<std::unique_ptr<ProductTimer>> create(
      const kernels::OpTable& ops, device::Device& device,
      std::span<const kernels::ChoiceKey> keys);

  /// Not for ChoiceOp::kDecodeStep.
  base::Result<std::vector<double>> time_us(const kernels::ChoiceKey& key,
                                            std::span<const Way> ways, int repetitions) override;

 private:
  ProductTimer(const kernels::OpTable& ops, device::Device& device) : ops_(ops), device_(device) {}
  /// Of all matrices of a launch.
  int64_t weight_bytes(const kernels::ChoiceKey& key) const;
  int64_t launches_of(const kernels::ChoiceKey& key) const;
  void launch(const kernels::OpContext& context, const kernels::ChoiceKey& key, int64_t i) const;

  const kernels::OpTable& ops_;
  device::Device& device_;
  kernels::OpLimits limits_;
  device::Buffer weights_, x_, y_, norm_, scratch_;
};

/// Fills memory of a device with random numbers: such as can be weights of any type, with scales
/// below 2^-7; or floats of absolute value 0.5 to 1.
enum class Numbers { kWeights, kFloats };
base::Result<> fill_random(device::Stream& stream, std::span<std::byte> memory, Numbers numbers);

}  // namespace neuros::pipeline
