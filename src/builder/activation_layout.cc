#include "builder/activation_layout.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace neuros::builder {
namespace {

using plan::ValuePlacement;

int64_t value_bytes(const plan::Value& value, const plan::BatchLimits& limits) {
  const int64_t rows =
      value.rows == plan::Value::Rows::kTokens ? limits.batch_tokens : limits.logit_rows;
  const int64_t bytes = rows * value.cols * static_cast<int64_t>(sizeof(float));
  return (bytes + 63) / 64 * 64;
}

/// First and last op that touches each value, counted over all segments.
std::vector<ValuePlacement> lifetimes(const plan::Plan& plan) {
  std::vector<ValuePlacement> values;
  for (const plan::Value& value : plan.program.values) {
    values.push_back({value.name, 0, value_bytes(value, plan.limits), INT32_MAX, -1});
  }
  int32_t number = 0;
  for (const plan::Segment& segment : plan.program.segments) {
    for (const plan::Op& op : segment.ops) {
      std::vector<plan::ValueId> touched = plan::reads_of(op);
      for (plan::ValueId id : plan::writes_of(op)) touched.push_back(id);
      for (plan::ValueId id : touched) {
        ValuePlacement& value = values[static_cast<size_t>(id)];
        value.first_op = std::min(value.first_op, number);
        value.last_op = std::max(value.last_op, number);
      }
      ++number;
    }
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

}  // namespace

void lay_out_activations(plan::Plan& plan) {
  plan.values = lifetimes(plan);
  std::vector<size_t> order(plan.values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return plan.values[a].bytes > plan.values[b].bytes; });
  std::vector<const ValuePlacement*> placed;
  plan.memory.activations = 0;
  for (size_t index : order) {
    ValuePlacement& value = plan.values[index];
    value.offset = lowest_free(value, placed);
    placed.push_back(&value);
    plan.memory.activations = std::max(plan.memory.activations, value.offset + value.bytes);
  }
}

}  // namespace neuros::builder
