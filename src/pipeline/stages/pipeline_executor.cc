#include "pipeline/stages/pipeline_executor.h"

#include "base/check.h"
#include "pipeline/stages/pipeline_run.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

namespace neuros::pipeline {
namespace {

class Executor final : public PipelineExecutor {
 public:
  Executor(PipelineDefinition definition, builder::StageGraph graph,
           std::vector<std::unique_ptr<Tool>> tools)
      : definition_(std::move(definition)),
        graph_(std::move(graph)),
        tool_threads_(definition_.tool_threads),
        context_{.spec = definition_.spec,
                 .graph = graph_,
                 .models = definition_.models,
                 .tools = std::move(tools),
                 .schedule = builder::staging_schedule(definition_.spec, graph_),
                 .answer_stage = pipeline::answer_stage(graph_),
                 .expected = {definition_.models.size(), definition_.expect},
                 .first_tokens = {},
                 .events = events_.queue(),
                 .tool_tasks = tool_threads_.queue()} {}

  ~Executor() override {
    stop_accepting();
    context_.events->post([this] {
      for (const auto& [id, run] : std::map(runs_)) run->cancel();
    });
    drain();
  }

  void drain() override {
    stop_accepting();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return under_way_ == 0; });
  }

  base::Result<uint64_t> start(PipelineRequest request,
                               std::shared_ptr<PipelineSink> sink) override {
    const std::lock_guard lock(mutex_);
    const std::string& name = definition_.spec.name;
    if (stopping_) return base::fail(name + " is stopping", base::ErrorKind::kUnavailable);
    if (under_way_ >= definition_.requests_max) {
      return base::fail(name + ": " + std::to_string(under_way_) + " requests are under way",
                        base::ErrorKind::kUnavailable);
    }
    ++under_way_;
    const uint64_t id = next_id_++;
    context_.events->post(
        [this, id, request = std::move(request), sink = std::move(sink)]() mutable {
          auto run = std::make_shared<PipelineRun>(context_, std::move(request), std::move(sink),
                                                   [this, id] { end(id); });
          runs_[id] = run;
          run->begin();
        });
    return id;
  }

  void cancel(uint64_t request) override {
    context_.events->post([this, request] {
      const auto found = runs_.find(request);
      if (found == runs_.end()) return;
      const std::shared_ptr<PipelineRun> run = found->second;
      run->cancel();
    });
  }

  int64_t first_token_us_p50() const override { return context_.first_tokens.median_us(); }
  int32_t answer_stage() const override { return context_.answer_stage; }

 private:
  void stop_accepting() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }

  /// Called by a run when all of it is over.
  void end(uint64_t id) {
    runs_.erase(id);
    const std::lock_guard lock(mutex_);
    --under_way_;
    ended_.notify_all();
  }

  const PipelineDefinition definition_;
  const builder::StageGraph graph_;
  // Runs end before their threads do, and no run outlives what it uses.
  std::mutex mutex_;
  std::condition_variable ended_;
  int32_t under_way_ = 0;                                  ///< guarded by mutex_
  uint64_t next_id_ = 1;                                   ///< the same
  bool stopping_ = false;                                  ///< the same
  std::map<uint64_t, std::shared_ptr<PipelineRun>> runs_;  ///< of the thread of events_
  TaskThreads events_{1};
  TaskThreads tool_threads_;
  RunContext context_;
};

builder::StageGraph graph_of(const builder::PipelineSpec& spec) {
  auto graph = builder::StageGraph::create(spec);
  CHECK(graph.has_value(), "the parser has checked the stages");
  return std::move(*graph);
}

/// By stage; null where a model runs.
base::Result<std::vector<std::unique_ptr<Tool>>> make_tools(const builder::PipelineSpec& spec,
                                                            const builder::StageGraph& graph,
                                                            const std::string& folder,
                                                            const ToolRegistry& registry) {
  std::vector<std::unique_ptr<Tool>> tools(spec.stages.size());
  for (int32_t s = 0; s < graph.size(); ++s) {
    const ToolContext context{.spec = spec, .graph = graph, .stage = s, .folder = folder};
    if (!context.stage_spec().tool) continue;
    tools[static_cast<size_t>(s)] = TRY(make_tool(registry, context));
  }
  return tools;
}

}  // namespace

base::Result<> check_tools(const builder::PipelineSpec& spec, const std::string& folder) {
  TRY(make_tools(spec, graph_of(spec), folder, standard_tools()));
  return {};
}

base::Result<std::unique_ptr<PipelineExecutor>> PipelineExecutor::create(
    PipelineDefinition definition) {
  CHECK(!definition.spec.stages.empty());
  CHECK(definition.models.size() == definition.spec.models.size());
  builder::StageGraph graph = graph_of(definition.spec);
  auto tools = TRY(make_tools(definition.spec, graph, definition.folder, definition.tools));
  return std::make_unique<Executor>(std::move(definition), std::move(graph), std::move(tools));
}

}  // namespace neuros::pipeline
