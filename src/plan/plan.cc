#include "plan/plan.h"

#include "base/check.h"

#include <algorithm>
#include <set>

namespace neuros::plan {

const WeightPlacement* Plan::find_weight(const std::string& name) const {
  for (const WeightPlacement& weight : weights) {
    if (weight.name == name) return &weight;
  }
  return nullptr;
}

std::vector<int32_t> segments_read(const Plan& plan, const Segment& step) {
  std::set<int32_t> segments;
  for (const Op& op : step.ops) {
    for (const WeightRef* ref : weights_of(op)) {
      const WeightPlacement* weight = plan.find_weight(ref->name);
      CHECK(weight != nullptr, "every weight of a program is placed");
      segments.insert(weight->segment);
    }
  }
  return {segments.begin(), segments.end()};
}

int64_t source_part_rows(const WeightPlacement& weight) {
  if (weight.kind == WeightPlacement::Kind::kVector || weight.rows < 1) return weight.rows;
  const int64_t row_bytes = std::max<int64_t>(1, weight.file_bytes / weight.rows);
  const int64_t units = std::max<int64_t>(1, kSourcePartBytes / (row_bytes * kPartRows));
  return std::min(weight.rows, units * kPartRows);
}

int64_t source_part_bytes(const std::vector<WeightPlacement>& weights) {
  int64_t most = 0;
  for (const WeightPlacement& weight : weights) {
    if (weight.rows < 1) continue;
    most = std::max(most, weight.file_bytes / weight.rows * source_part_rows(weight));
  }
  return most;
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

int64_t Plan::shared_value_bytes() const {
  int64_t end = 0;
  for (const ValuePlacement& value : values) {
    if (value.region == Region::kShared) end = std::max(end, value.offset + value.bytes);
  }
  return work_aligned(end);
}

}  // namespace neuros::plan
