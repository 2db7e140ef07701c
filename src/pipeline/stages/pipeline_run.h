#pragma once

#include "builder/spec/staging_schedule.h"
#include "pipeline/stages/expected_models.h"
#include "pipeline/stages/latency_window.h"
#include "pipeline/stages/stage_flow.h"
#include "pipeline/stages/stage_model.h"
#include "pipeline/stages/task_threads.h"
#include "pipeline/stages/tool.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// What all requests of a pipeline share; outlives them.
struct RunContext {
  const builder::PipelineSpec& spec;
  const builder::StageGraph& graph;
  std::vector<StageModel*> models;           ///< in the order of the specification
  std::vector<std::unique_ptr<Tool>> tools;  ///< by stage; null: it runs a model
  std::vector<builder::StagingTrigger> schedule;
  int32_t answer_stage = 0;
  ExpectedModels expected;
  LatencyWindow first_tokens;
  std::shared_ptr<TaskQueue> events;      ///< where everything below happens
  std::shared_ptr<TaskQueue> tool_tasks;  ///< threads that may be held up
};

/// One request on its way through the stages: carries out what StageFlow decides. Every function is
/// called from the one thread of RunContext::events; models and tools come back through it.
class PipelineRun : public std::enable_shared_from_this<PipelineRun> {
 public:
  /// `on_over` is called after the sink's on_end, as the last use of anything but the run itself.
  PipelineRun(RunContext& context, PipelineRequest request, std::shared_ptr<PipelineSink> sink,
              std::function<void()> on_over);

  void begin();
  /// Stops what runs; the request ends when that has ended. After the end it does nothing.
  void cancel();

 private:
  class Relay;
  using Clock = std::chrono::steady_clock;
  /// A stage that runs.
  struct Running {
    StageReport report;
    StageModel* model = nullptr;  ///< null: a tool
    uint64_t generation = 0;
    std::stop_source stop;  ///< of a tool
    std::string text;
  };

  const builder::StageSpec& spec_of(int32_t stage) const {
    return context_.spec.stages[static_cast<size_t>(stage)];
  }
  base::Result<> choose_models();
  std::optional<size_t> model_of(int32_t stage) const;
  int64_t now_us() const;

  void start_stages(base::Result<std::vector<int32_t>> started);
  void start_stage(int32_t stage);
  base::Result<> start_model(int32_t stage, Running& running);
  base::Result<> start_tool(int32_t stage, Running& running);
  base::Result<std::string> input_of(const builder::StageSpec& stage) const;
  void text_arrived(int32_t stage, PipelineText text);
  void model_ended(int32_t stage, GenerationEnd end);
  void tool_ended(int32_t stage, int64_t queue_us, base::Result<std::string> output);
  void stage_ended(int32_t stage, base::Result<std::string> output);
  void emit(PipelineText text);

  void expect_after(int32_t stage);
  void forget_expected(int32_t user);
  void forget_settled();

  void fail(base::Error error);
  void stop_running();
  void end_if_idle();
  bool is_streamed(int32_t stage) const;

  RunContext& context_;
  PipelineRequest request_;
  std::shared_ptr<PipelineSink> sink_;
  std::function<void()> on_over_;
  Clock::time_point arrived_ = Clock::now();
  RequestValues values_;
  StageFlow flow_;
  std::vector<int32_t> model_of_stage_;              ///< place in the specification; -1: a tool
  std::map<int32_t, Running> running_;               ///< by stage
  std::map<int32_t, std::vector<size_t>> expected_;  ///< models held for a stage to come
  std::vector<StageReport> reports_;
  FinishReason answer_reason_ = FinishReason::kStop;
  int32_t answer_tokens_ = 0;
  bool has_text_ = false;
  std::optional<base::Error> error_;
  bool cancelled_ = false, over_ = false;
};

}  // namespace neuros::pipeline
