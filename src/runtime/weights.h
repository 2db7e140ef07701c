#pragma once

#include "kernels/packed_matrix.h"
#include "plan/plan.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace neuros::runtime {

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
