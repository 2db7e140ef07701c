#include "sched/fleet_workload.h"

#include <algorithm>
#include <string>

namespace neuros::sched {
namespace {

void draw_models(Random& random, FleetWorkload& fleet) {
  for (int32_t count = random.between(1, 6); count > 0; --count) {
    ModelFacts model;
    const int32_t layers = random.between(1, 7);
    for (int32_t i = 0; i < layers; ++i) {
      model.segments.push_back({.frames = random.between(1, 8), .pinned = random.one_in(12)});
      model.steps.push_back({i});
    }
    if (layers > 1 && random.one_in(2)) model.steps.back().push_back(0);  // a tied head
    fleet.costs.push_back(
        {.step_us = random.between(5, 300), .load_us_per_frame = random.between(10, 500)});
    fleet.facts.models.push_back(std::move(model));
  }
  fleet.facts.loads_in_flight = random.between(1, 3);
  fleet.facts.dwell_us = random.between(0, 20) * 1000;
  fleet.facts.wait_us_max = random.between(20, 100) * 1000;
  fleet.failures_one_in = random.one_in(3) ? random.between(10, 60) : 0;
}

int32_t frames_of(const ModelFacts& model) {
  int32_t frames = 0;
  for (const SegmentFacts& segment : model.segments) frames += segment.frames;
  return frames;
}

void draw_frames(Random& random, FleetWorkload& fleet) {
  int32_t all = 0, least = 1;
  for (const ModelFacts& model : fleet.facts.models) all += frames_of(model);
  for (fleet.facts.frames = least; !check_feasible(fleet.facts).empty();) {
    fleet.facts.frames = ++least;
  }
  fleet.facts.frames = random.between(least, std::max(least, all + 2));
  fleet.streams = std::ranges::any_of(fleet.facts.models, [&](const ModelFacts& model) {
    return frames_of(model) > fleet.facts.frames;
  });
}

void draw_arrivals(Random& random, FleetWorkload& fleet) {
  const auto models = static_cast<int32_t>(fleet.facts.models.size());
  const int32_t count = random.between(1, 40), pause_us = random.between(0, 20000);
  const int32_t burst = random.one_in(2) ? 6 : 1;
  int64_t time_us = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (random.one_in(burst)) time_us += random.between(0, burst * pause_us);
    FleetArrival arrival;
    arrival.model = random.between(0, models - 1);
    arrival.time_us = time_us;
    arrival.process.id = static_cast<ProcessId>(i);
    arrival.process.prompt.assign(static_cast<size_t>(random.between(1, 30)), i);
    arrival.process.max_new_tokens = random.between(0, 25);
    arrival.process.priority = static_cast<Priority>(random.between(0, 2));
    if (random.one_in(8)) arrival.cancel_us = time_us + random.between(0, 30000);
    fleet.arrivals.push_back(std::move(arrival));
  }
}

/// Every third fleet is booted on demand, one model after the other.
void draw_preparations(Random& random, FleetWorkload& fleet) {
  fleet.prepared_us.resize(fleet.facts.models.size());
  if (!random.one_in(3)) return;
  int64_t time_us = 0;
  for (size_t i = 1; i < fleet.prepared_us.size(); ++i) {
    time_us += random.between(1, 40'000);
    fleet.prepared_us[i] = time_us;
  }
}

/// Once it is overdue, every other model may still be rescued before it, have its time, its loads
/// and a pass.
int64_t wait_bound_us(const FleetWorkload& fleet) {
  int64_t bound_us = 0;
  for (size_t m = 0; m < fleet.costs.size(); ++m) {
    const ModelFacts& model = fleet.facts.models[m];
    const int64_t pass_us = int64_t{fleet.costs[m].step_us} * model.step_count() * 2;
    const int64_t load_us = int64_t{frames_of(model)} * fleet.costs[m].load_us_per_frame;
    bound_us += 3 * (2 * load_us + pass_us) + fleet.facts.dwell_us + fleet.facts.wait_us_max;
  }
  return 2 * bound_us + fleet.facts.wait_us_max;
}

}  // namespace

FleetWorkload draw_fleet(Random& random) {
  FleetWorkload fleet;
  draw_models(random, fleet);
  draw_frames(random, fleet);
  draw_arrivals(random, fleet);
  draw_preparations(random, fleet);
  fleet.wait_bound_us = wait_bound_us(fleet);
  return fleet;
}

}  // namespace neuros::sched
