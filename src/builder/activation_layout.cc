#include "builder/activation_layout.h"

#include "plan/lifetimes.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace neuros::builder {
namespace {

using plan::Region;
using plan::ValuePlacement;

int64_t value_bytes(const plan::Value& value, const plan::BatchLimits& limits) {
  const int64_t rows =
      value.rows == plan::Value::Rows::kTokens ? limits.batch_tokens : limits.logit_rows;
  const int64_t bytes = rows * value.cols * static_cast<int64_t>(sizeof(float));
  return (bytes + 63) / 64 * 64;
}

/// All at offset 0 of the region that they will lie in.
std::vector<ValuePlacement> unplaced(const plan::Plan& plan, Region of_steps) {
  std::vector<ValuePlacement> values;
  const std::vector<plan::Lifetime> lifetimes = plan::lifetimes(plan.program);
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    const plan::Value& value = plan.program.values[i];
    values.push_back({.name = value.name,
                      .bytes = value_bytes(value, plan.limits),
                      .first_op = lifetimes[i].first_op,
                      .last_op = lifetimes[i].last_op,
                      .region = lifetimes[i].is_within_steps() ? of_steps : Region::kOwn});
  }
  return values;
}

bool live_together(const ValuePlacement& a, const ValuePlacement& b) {
  return a.first_op <= b.last_op && b.first_op <= a.last_op;
}

/// The lowest offset at which `value` overlaps none of `placed` in both time and space.
int64_t lowest_free(const ValuePlacement& value, const std::vector<const ValuePlacement*>& placed) {
  std::vector<const ValuePlacement*> others;
  for (const ValuePlacement* other : placed) {
    if (live_together(value, *other)) others.push_back(other);
  }
  std::sort(others.begin(), others.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  int64_t offset = 0;
  for (const ValuePlacement* other : others) {
    if (offset + value.bytes <= other->offset) break;
    offset = std::max(offset, other->offset + other->bytes);
  }
  return offset;
}

/// Places the values of a region; its bytes.
int64_t place(std::vector<ValuePlacement>& values, Region region) {
  std::vector<ValuePlacement*> order;
  for (ValuePlacement& value : values) {
    if (value.region == region) order.push_back(&value);
  }
  std::ranges::stable_sort(order, std::greater<>(), &ValuePlacement::bytes);
  std::vector<const ValuePlacement*> placed;
  int64_t end = 0;
  for (ValuePlacement* value : order) {
    value->offset = lowest_free(*value, placed);
    placed.push_back(value);
    end = std::max(end, value->offset + value->bytes);
  }
  return plan::work_aligned(end);
}

}  // namespace

void lay_out_activations(plan::Plan& plan, Region of_steps) {
  plan.values = unplaced(plan, of_steps);
  plan.memory.activations = place(plan.values, Region::kOwn);
  plan.memory.shared = place(plan.values, Region::kShared);
}

}  // namespace neuros::builder
