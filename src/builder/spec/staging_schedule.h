#pragma once

/// When the weights of which model are about to be needed: what a stage's start says of the stages
/// after it. Known before any request, so that `neuros plan` can show it.

#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace neuros::builder {

/// When stage `at` starts, `model` is expected, because stage `user` is to run it.
struct StagingTrigger {
  static constexpr int32_t kArrival = -1;

  int32_t at = kArrival;  ///< kArrival: when the request arrives
  std::string model;
  int32_t user = 0;
  /// Stages from `at` to `user`: 1 is the next. Between them are only tools without models.
  int32_t distance = 1;
  std::optional<LatencyRange> window;  ///< of the tool `at`: time for moving the weights

  friend bool operator==(const StagingTrigger&, const StagingTrigger&) = default;
};

/// By `at`, the arrival first and then in the order of the graph; of one stage the nearest users
/// first, ties in the order of the file. A stage's own models are not expected by it; of a route
/// every model that it may pick.
std::vector<StagingTrigger> staging_schedule(const PipelineSpec& spec, const StageGraph& graph);

}  // namespace neuros::builder
