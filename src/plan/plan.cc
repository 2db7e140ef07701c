#include "plan/plan.h"

#include <algorithm>

namespace neuros::plan {

const WeightPlacement* Plan::find_weight(const std::string& name) const {
  for (const WeightPlacement& weight : weights) {
    if (weight.name == name) return &weight;
  }
  return nullptr;
}

int64_t Plan::widest_cols() const {
  int64_t widest = 0;
  for (const WeightPlacement& weight : weights) {
    if (weight.kind == WeightPlacement::Kind::kMatrix) widest = std::max(widest, weight.cols);
  }
  return widest;
}

int64_t Plan::widest_rows() const {
  int64_t widest = 0;
  for (const WeightPlacement& weight : weights) {
    if (weight.kind == WeightPlacement::Kind::kMatrix) widest = std::max(widest, weight.rows);
  }
  return widest;
}

}  // namespace neuros::plan
