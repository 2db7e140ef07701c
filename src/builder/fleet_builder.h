#pragma once

/// Offline: models that share a device, and its memory in; the plans of all of them out.

#include "base/result.h"
#include "builder/builder.h"
#include "plan/fleet_plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::builder {

struct FleetModelRequest {
  const formats::Checkpoint* checkpoint = nullptr;
  plan::Program program;
  PlanRequest plan;  ///< its memory and alignment are the fleet's to say
};

struct FleetRequest {
  int64_t memory_bytes = 0;  ///< budget on the device, for everything of all models
  int64_t least_frame_bytes = int64_t{2} << 20;  ///< a power of two; what the device can map
};

/// Where everything fits, all weights stay on the device. Otherwise they share frames, and what
/// else the models need is made smaller, for all of them alike, until the largest model's weights
/// fit beside it: fewer KV pages, then shorter contexts. If even that does not do, weights come and
/// go within a pass. Infeasible: kOutOfMemory with the least that is needed. The same inputs give
/// the same plan.
base::Result<plan::FleetPlan> make_fleet_plan(std::vector<FleetModelRequest> models,
                                              const kernels::OpTable& ops,
                                              const FleetRequest& request);

}  // namespace neuros::builder
