#include "builder/footprint.h"

#include <algorithm>

namespace neuros::builder {
namespace {

int64_t ceil_div(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit;
}

int64_t frames_of(std::span<const int64_t> bytes, int64_t frame_bytes) {
  int64_t sum = 0;
  for (const int64_t segment : bytes) sum += ceil_div(segment, frame_bytes);
  return sum;
}

/// Of the step of a pass that reads the most.
int64_t step_frames(const ModelDemand& model, const ModelGrant& grant, int64_t frame_bytes) {
  const std::vector<int64_t> bytes = segment_bytes(model, grant);
  int64_t most = 0;
  for (const std::vector<int32_t>& step : model.steps) {
    int64_t frames = 0;
    for (const int32_t segment : step) {
      frames += ceil_div(bytes[static_cast<size_t>(segment)], frame_bytes);
    }
    most = std::max(most, frames);
  }
  return most;
}

/// Frames for models that come and go: the most that have to be there at once.
int64_t shared_frames(const FleetDemand& fleet, std::span<const int64_t> frames,
                      plan::Residency residency) {
  int64_t most = 0;
  for (const int64_t model : frames) most = std::max(most, model);
  if (residency != plan::Residency::kTogether) return most;
  for (const std::vector<int32_t>& group : fleet.together) {
    int64_t sum = 0;
    for (const int32_t model : group) sum += frames[static_cast<size_t>(model)];
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace

ModelGrant wish_of(const ModelDemand& model) {
  return {model.context, model.full_contexts, std::vector<int32_t>(model.groups.size(), 0)};
}

ModelGrant floor_of(const ModelDemand& model) {
  const auto last = static_cast<int32_t>(model.levels.size()) - 1;
  return {model.context_least, 1, std::vector<int32_t>(model.groups.size(), last)};
}

std::vector<int64_t> segment_bytes(const ModelDemand& model, const ModelGrant& grant) {
  std::vector<int64_t> bytes = model.segment_bytes;
  for (size_t i = 0; i < model.groups.size(); ++i) {
    const WeightGroup& group = model.groups[i];
    bytes[static_cast<size_t>(group.segment)] += group.bytes[static_cast<size_t>(grant.levels[i])];
  }
  for (int64_t& segment : bytes) {
    segment = ceil_div(segment, plan::kSegmentAlignment) * plan::kSegmentAlignment;
  }
  return bytes;
}

int64_t weight_frames(const ModelDemand& model, const ModelGrant& grant, int64_t frame_bytes) {
  return frames_of(segment_bytes(model, grant), frame_bytes);
}

WorkBytes work_bytes(const ModelDemand& model, const ModelGrant& grant) {
  WorkBytes bytes = model.work_bytes(grant.context, grant.full_contexts);
  bytes.shared += model.scratch_bytes;
  return bytes;
}

int64_t work_bytes(const FleetDemand& fleet, std::span<const ModelGrant> grants) {
  int64_t own = 0, shared = 0;
  for (size_t i = 0; i < fleet.models.size(); ++i) {
    const WorkBytes bytes = work_bytes(fleet.models[i], grants[i]);
    own += bytes.own;
    shared = std::max(shared, bytes.shared);
  }
  return own + shared;
}

int64_t footprint(const FleetDemand& fleet, std::span<const ModelGrant> grants,
                  plan::Residency residency) {
  const bool all_stay = residency == plan::Residency::kAllStay;
  const int64_t unit = all_stay ? plan::kSegmentAlignment : fleet.frame_bytes;
  int64_t staying = 0;
  std::vector<int64_t> moving(fleet.models.size(), 0);
  for (size_t i = 0; i < fleet.models.size(); ++i) {
    const ModelDemand& model = fleet.models[i];
    if (all_stay || model.pin) {
      staying += weight_frames(model, grants[i], unit);
    } else {
      moving[i] = residency == plan::Residency::kStreams ? step_frames(model, grants[i], unit)
                                                         : weight_frames(model, grants[i], unit);
    }
  }
  return work_bytes(fleet, grants) + (staying + shared_frames(fleet, moving, residency)) * unit;
}

int64_t onload_us(const FleetDemand& fleet, std::span<const ModelGrant> grants) {
  int64_t most = 0;
  for (size_t i = 0; i < fleet.models.size(); ++i) {
    const ModelDemand& model = fleet.models[i];
    if (model.pin || model.onload_bytes_per_s <= 0) continue;
    int64_t bytes = 0;
    for (const int64_t segment : segment_bytes(model, grants[i])) bytes += segment;
    const double seconds = static_cast<double>(bytes) / model.onload_bytes_per_s;
    most = std::max(most, static_cast<int64_t>(seconds * 1e6));
  }
  return most;
}

}  // namespace neuros::builder
