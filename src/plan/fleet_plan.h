#pragma once

/// The plans of models that share a device.

#include "plan/plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::plan {

struct FleetPlan {
  std::vector<Plan> models{};
  int64_t budget_bytes = 0;  ///< of the device's memory, for all of them
  /// Memory for weights that come and go, in frames that segments begin with. No frames: all
  /// weights stay.
  int64_t frame_bytes = 0, frames = 0;
  MemoryPlan memory{};  ///< of the whole process, as if the fleet were one model
  std::vector<std::string> reasons{};

  bool pages() const { return frames > 0; }
  /// What boot reserves on the device: everything there ever is.
  int64_t device_bytes() const { return memory.arena_bytes(); }
  /// Frames that the weights of a model take when all of them are there.
  int64_t frames_of(const Plan& model) const;
};

/// A page a person reads; and the same as JSON.
std::string describe(const FleetPlan& fleet);
std::string describe_json(const FleetPlan& fleet);

}  // namespace neuros::plan
