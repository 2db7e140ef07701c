#include "builder/spec/staging_schedule.h"

#include <algorithm>

namespace neuros::builder {
namespace {

/// For every stage those that may start because it ended, in the order of the file.
std::vector<std::vector<int32_t>> followers(const PipelineSpec& spec, const StageGraph& graph) {
  std::vector<std::vector<int32_t>> next(spec.stages.size());
  for (int32_t s = 0; s < graph.size(); ++s) {
    for (const int32_t needed : graph.needs(s)) next[static_cast<size_t>(needed)].push_back(s);
  }
  // The last stages of a round are followed by the first of the next one.
  for (int32_t s = 0; s < graph.size(); ++s) {
    const int32_t head = graph.loop_head(s);
    auto& of_stage = next[static_cast<size_t>(s)];
    const bool ends_round = std::none_of(of_stage.begin(), of_stage.end(),
                                         [&](int32_t n) { return graph.loop_head(n) == head; });
    if (head >= 0 && ends_round) of_stage.insert(of_stage.begin(), head);
  }
  return next;
}

class Scheduler {
 public:
  Scheduler(const PipelineSpec& spec, const StageGraph& graph)
      : spec_(spec), next_(followers(spec, graph)) {}

  void arrival(const StageGraph& graph) {
    std::vector<int32_t> first;
    for (int32_t s = 0; s < graph.size(); ++s) {
      if (graph.needs(s).empty()) first.push_back(s);
    }
    walk(StagingTrigger::kArrival, std::move(first));
  }
  void start_of(int32_t stage) { walk(stage, next_[static_cast<size_t>(stage)]); }

  std::vector<StagingTrigger> take() { return std::move(triggers_); }

 private:
  const StageSpec& stage(int32_t place) const { return spec_.stages[static_cast<size_t>(place)]; }

  /// Level by level over tools that run no model, to those who do.
  void walk(int32_t at, std::vector<int32_t> level) {
    std::vector<bool> seen(spec_.stages.size());
    for (int32_t distance = 1; !level.empty(); ++distance) {
      std::vector<int32_t> further;
      for (const int32_t user : level) {
        if (seen[static_cast<size_t>(user)]) continue;
        seen[static_cast<size_t>(user)] = true;
        if (expect_models(at, user, distance)) continue;
        const auto& behind = next_[static_cast<size_t>(user)];
        further.insert(further.end(), behind.begin(), behind.end());
      }
      std::sort(further.begin(), further.end());
      level = std::move(further);
    }
  }

  /// False if the user runs no model.
  bool expect_models(int32_t at, int32_t user, int32_t distance) {
    const std::vector<std::string> used = spec_.models_of(stage(user));
    std::vector<std::string> running;
    std::optional<LatencyRange> window;
    if (at >= 0) {
      running = spec_.models_of(stage(at));
      if (stage(at).tool) window = stage(at).tool->latency;
    }
    for (const std::string& model : used) {
      if (std::find(running.begin(), running.end(), model) != running.end()) continue;
      triggers_.push_back({at, model, user, distance, window});
    }
    return !used.empty();
  }

  const PipelineSpec& spec_;
  std::vector<std::vector<int32_t>> next_;
  std::vector<StagingTrigger> triggers_;
};

}  // namespace

std::vector<StagingTrigger> staging_schedule(const PipelineSpec& spec, const StageGraph& graph) {
  Scheduler scheduler(spec, graph);
  scheduler.arrival(graph);
  for (const int32_t s : graph.order()) scheduler.start_of(s);
  return scheduler.take();
}

}  // namespace neuros::builder
