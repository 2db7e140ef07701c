#include "plan/plan.h"

namespace neuros::plan {

const WeightPlacement* Plan::find_weight(const std::string& name) const {
  for (const WeightPlacement& weight : weights) {
    if (weight.name == name) return &weight;
  }
  return nullptr;
}

}  // namespace neuros::plan
