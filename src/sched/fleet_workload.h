#pragma once

/// Random models that share a device, and who comes to them, from one seed.

#include "sched/fleet.h"
#include "sched/random.h"
#include "sched/scheduler.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace neuros::sched {

/// A process that arrives.
struct FleetArrival {
  ModelId model = 0;
  Arrival process;
  int64_t time_us = 0;
  std::optional<int64_t> cancel_us;
};

struct ModelCosts {
  int32_t step_us = 0;  ///< of one step, with few rows
  int32_t load_us_per_frame = 0;
};

struct FleetWorkload {
  FleetFacts facts;
  std::vector<ModelCosts> costs;      ///< of each model
  std::deque<FleetArrival> arrivals;  ///< by time
  std::vector<int64_t> prepared_us;   ///< when each model is prepared; 0: from the start on
  int32_t failures_one_in = 0;        ///< loads; 0: none fails
  int64_t wait_bound_us = 0;          ///< no model with work waits longer for its next run
  bool streams = false;               ///< a model is larger than the memory
};

/// One to six models, between the least memory that is feasible and a little more than all need;
/// arrivals in bursts, or evenly.
FleetWorkload draw_fleet(Random& random);

}  // namespace neuros::sched
