#pragma once

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"
#include "pipeline/stages/pipeline_request.h"
#include "pipeline/stages/stage_model.h"
#include "pipeline/stages/tool.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// A pipeline and all that it runs on.
struct PipelineDefinition {
  builder::PipelineSpec spec;         ///< with stages
  std::string folder{};               ///< of the specification: where its programs run
  std::vector<StageModel*> models{};  ///< in the order of the specification; outlive the executor
  ToolRegistry tools = standard_tools();
  /// Weights of a model are about to be needed, or no longer; as runtime::Fleet::expect.
  std::function<void(size_t model, bool expected)> expect{};
  int tool_threads = 16;       ///< tools running at one time
  int32_t requests_max = 256;  ///< under way at one time; more are kUnavailable
};

/// Whether every stage's tool can be made, as PipelineExecutor::create does: for who wants to know
/// before models are opened.
base::Result<> check_tools(const builder::PipelineSpec& spec, const std::string& folder);

/// Requests on their way through the stages of a pipeline. One thread drives them all; models have
/// threads of their own, tools a small pool. Thread-safe.
class PipelineExecutor {
 public:
  /// Errors name the stage whose tool cannot be made.
  static base::Result<std::unique_ptr<PipelineExecutor>> create(PipelineDefinition definition);
  /// Cancels what is under way and waits for its end.
  virtual ~PipelineExecutor() = default;

  /// kUnavailable if too many are under way. on_end is called exactly once unless this fails, and
  /// never from inside.
  virtual base::Result<uint64_t> start(PipelineRequest request,
                                       std::shared_ptr<PipelineSink> sink) = 0;
  /// It ends with kCancelled once what it runs has stopped, unless it ended before.
  virtual void cancel(uint64_t request) = 0;
  /// Refuses new requests and waits for those under way.
  virtual void drain() = 0;
  /// Median time to the first text of the answer, of the last minute; 0: no requests.
  virtual int64_t first_token_us_p50() const = 0;
  /// Place in the specification of the stage that gives the answer.
  virtual int32_t answer_stage() const = 0;
};

}  // namespace neuros::pipeline
