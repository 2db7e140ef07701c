#pragma once

/// Which stage needs which, and what follows for planning: order, what may run at the same time,
/// where one batch serves two stages, and what may be staged while a tool runs. Stages are meant by
/// their place in PipelineSpec::stages.

#include "builder/spec/pipeline_spec.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace neuros::builder {

/// What makes a graph of stages impossible, and the stage where it shows.
struct GraphProblem {
  int32_t stage = 0;
  std::string text;  ///< "needs itself: a -> b -> a"
};

class StageGraph {
 public:
  /// Every reference of `spec` must name one of its stages (pipeline_yaml.h checks that).
  static tl::expected<StageGraph, GraphProblem> create(const PipelineSpec& spec);

  int32_t size() const { return static_cast<int32_t>(needs_.size()); }
  /// Direct needs, in the order of the file. A need of one stage of a loop, from outside, is a need
  /// of all of them.
  const std::vector<int32_t>& needs(int32_t stage) const { return needs_[index(stage)]; }
  /// Every stage after all that it needs; ties in the order of the file.
  const std::vector<int32_t>& order() const { return order_; }
  /// Longest chain of needs below it: 0 starts with the request.
  int32_t level(int32_t stage) const { return level_[index(stage)]; }
  /// Directly or through others.
  bool has_need(int32_t stage, int32_t needed) const { return reach_[index(stage)][index(needed)]; }
  /// Neither needs the other: they may run at the same time.
  bool are_independent(int32_t a, int32_t b) const {
    return a != b && !has_need(a, b) && !has_need(b, a);
  }
  /// The first stage of the loop that a stage is in; -1 outside loops.
  int32_t loop_head(int32_t stage) const { return loop_head_[index(stage)]; }

 private:
  static size_t index(int32_t stage) { return static_cast<size_t>(stage); }
  tl::expected<void, GraphProblem> set_loops(const PipelineSpec& spec);
  void set_needs(const PipelineSpec& spec);
  tl::expected<void, GraphProblem> set_order(const PipelineSpec& spec);
  void set_reach();
  tl::expected<void, GraphProblem> check_loops(const PipelineSpec& spec) const;

  std::vector<std::vector<int32_t>> needs_;
  std::vector<std::vector<bool>> reach_;
  std::vector<int32_t> order_, level_, loop_head_;
};

struct CriticalPath {
  std::vector<int32_t> stages;  ///< from the first to the last
  int64_t cost = 0;
};
/// The chain of needs with the greatest sum of costs (0 or more, one per stage: of all its rounds).
CriticalPath critical_path(const StageGraph& graph, std::span<const int64_t> costs);

/// Stages of one level: no two of them need each other. Levels with a single stage are left out;
/// are_independent tells of pairs on different levels.
std::vector<std::vector<int32_t>> parallel_groups(const StageGraph& graph);

/// Independent stages that run the same model, so that one batch may serve them all.
struct SharedBatch {
  std::string model;
  std::vector<int32_t> stages;  ///< two or more
};
std::vector<SharedBatch> shared_batches(const PipelineSpec& spec, const StageGraph& graph);

/// A tool's run as time for moving weights.
struct ToolWindow {
  int32_t stage = 0;
  LatencyRange latency;
  std::vector<std::string> stage_next;  ///< models of stages that need the tool, nearest first
  std::vector<std::string> keep;  ///< models that may be running meanwhile: not to be moved out
};
/// Of every tool with a latency.
std::vector<ToolWindow> tool_windows(const PipelineSpec& spec, const StageGraph& graph);

/// Most rounds a stage runs for one request: those of the loop it is in.
int32_t rounds_max(const PipelineSpec& spec, const StageGraph& graph, int32_t stage);

}  // namespace neuros::builder
