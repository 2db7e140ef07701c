#include "runtime/fleet_facts.h"

#include <algorithm>

namespace neuros::runtime {
namespace {

sched::ModelFacts model_facts(const plan::Plan& plan) {
  sched::ModelFacts model;
  for (const plan::Segment& step : plan.program.segments) {
    model.steps.push_back(plan::segments_read(plan, step));
  }
  return model;
}

}  // namespace

sched::FleetFacts paged_fleet_facts(std::span<const plan::Plan* const> plans,
                                    const std::vector<bool>& stays,
                                    const device::FramePoolOptions& weights) {
  sched::FleetFacts facts;
  facts.frames = static_cast<int32_t>(weights.frames);
  const auto frame = static_cast<int64_t>(weights.frame_bytes);
  for (size_t i = 0; i < plans.size(); ++i) {
    const plan::Plan* plan = plans[i];
    sched::ModelFacts model = model_facts(*plan);
    for (const plan::SegmentPlacement& segment : plan->segments) {
      const int64_t frames = std::max<int64_t>(1, (segment.bytes + frame - 1) / frame);
      model.segments.push_back({.frames = static_cast<int32_t>(frames), .pinned = stays[i]});
    }
    facts.models.push_back(std::move(model));
  }
  return facts;
}

sched::FleetFacts resident_fleet_facts(std::span<const plan::Plan* const> plans) {
  sched::FleetFacts facts;
  for (const plan::Plan* plan : plans) {
    sched::ModelFacts model = model_facts(*plan);
    model.segments.assign(plan->segments.size(), {.frames = 1, .pinned = true});
    facts.frames += static_cast<int32_t>(plan->segments.size());
    facts.models.push_back(std::move(model));
  }
  facts.loads_in_flight = std::max(1, facts.frames);
  return facts;
}

}  // namespace neuros::runtime
