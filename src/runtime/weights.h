#pragma once

#include "base/result.h"
#include "device/device.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "kernels/packed_matrix.h"
#include "plan/plan.h"

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace neuros::runtime {

/// Where weights go.
struct WeightTarget {
  device::Device& device;
  device::Stream& stream;
  std::span<std::byte> arena;  ///< of the device
};

/// Packs every weight of the plan into the arena, tensor by tensor in the plan's order, and lets go
/// of the file's pages after each, so that no more of the file is in memory at a time than
/// plan.memory.staging. `on_progress` hears the share of file bytes done, on the calling thread.
/// Fails, naming the tensor, where the checkpoint or the table is not what the plan was made for.
base::Result<> load_weights(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                            const kernels::OpTable& ops, const WeightTarget& target,
                            const std::function<void(double fraction)>& on_progress);

/// Where the weights of a loaded plan are.
class WeightMap {
 public:
  /// `plan` and `arena` outlive the map.
  WeightMap(const plan::Plan& plan, std::span<const std::byte> arena);

  kernels::PackedMatrix matrix(const plan::WeightRef& ref) const;
  /// [n] floats; null if the model has none here.
  const float* vector(const plan::WeightRef& ref) const;

 private:
  const plan::WeightPlacement& find(const std::string& name) const;

  std::map<std::string_view, const plan::WeightPlacement*> placements_;
  std::span<const std::byte> arena_;
};

}  // namespace neuros::runtime
