#pragma once

/// What the fleet's scheduler knows of the models that share a device: their segments of weights,
/// which of them each step of a pass reads, and what the models are asked for.

#include "sched/ids.h"

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace neuros::sched {

/// Index into FleetFacts::models.
using ModelId = int32_t;

struct SegmentId {
  ModelId model = 0;
  int32_t segment = 0;
  auto operator<=>(const SegmentId&) const = default;
};

/// One layer's weights, the unit of residency.
struct SegmentFacts {
  int32_t frames = 0;   ///< of device memory
  bool pinned = false;  ///< loaded at boot and never evicted
};

struct ModelFacts {
  std::vector<SegmentFacts> segments;
  /// A pass is steps in order; steps[i] lists the segments that step i reads.
  std::vector<std::vector<int32_t>> steps;

  int32_t step_count() const { return static_cast<int32_t>(steps.size()); }
};

struct FleetFacts {
  int32_t frames = 0;           ///< of device memory for weights, in all
  int32_t loads_in_flight = 2;  ///< started and not done
  int64_t dwell_us = 100'000;   ///< a model keeps its memory so long once its weights are there
  int64_t wait_us_max = 10'000'000;  ///< a model with work that did not run so long is rescued
  std::vector<ModelFacts> models;

  const SegmentFacts& segment(SegmentId id) const {
    return models.at(static_cast<size_t>(id.model)).segments.at(static_cast<size_t>(id.segment));
  }
};

/// Fails (by its text; "" if it holds) unless every step of every model can run: its segments fit
/// beside what the others have pinned.
std::string check_feasible(const FleetFacts& facts);

/// What the processes of a model ask for.
struct Demand {
  bool work = false;              ///< a process waits or runs, or a pass was suspended
  Priority top = Priority::kLow;  ///< the highest of any of them
  bool operator==(const Demand&) const = default;
};

}  // namespace neuros::sched
