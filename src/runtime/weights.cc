#include "runtime/weights.h"

#include "base/check.h"

namespace neuros::runtime {

using plan::WeightPlacement;

WeightMap::WeightMap(const plan::Plan& plan, std::span<const std::byte> arena) : arena_(arena) {
  for (const WeightPlacement& weight : plan.weights) placements_.emplace(weight.name, &weight);
}

const WeightPlacement& WeightMap::find(const std::string& name) const {
  const auto it = placements_.find(name);
  CHECK(it != placements_.end(), "every weight of the program is placed");
  return *it->second;
}

kernels::PackedMatrix WeightMap::matrix(const plan::WeightRef& ref) const {
  const WeightPlacement& weight = find(ref.name);
  CHECK(weight.kind == WeightPlacement::Kind::kMatrix);
  return {weight.dtype, weight.rows, weight.cols, arena_.data() + weight.offset};
}

const float* WeightMap::vector(const plan::WeightRef& ref) const {
  if (!ref.exists()) return nullptr;
  const WeightPlacement& weight = find(ref.name);
  CHECK(weight.kind == WeightPlacement::Kind::kVector);
  return reinterpret_cast<const float*>(arena_.data() + weight.offset);
}

}  // namespace neuros::runtime
