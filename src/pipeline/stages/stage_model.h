#pragma once

/// What stages need of a model that generates; language_stage_model.h is the real one.

#include "base/result.h"
#include "pipeline/stages/pipeline_request.h"

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::pipeline {

struct ModelCall {
  std::string prompt;
  /// Messages in which the prompt takes the place of the last user message; null: the prompt is
  /// the only message. Without a chat template the prompt is all.
  std::shared_ptr<const nlohmann::ordered_json> conversation{};
  int32_t input_tokens_max = 0;   ///< a longer prompt is refused; 0: the model's context
  int32_t output_tokens_max = 0;  ///< 0: what the context leaves
  sched::Priority priority = sched::Priority::kMedium;
  AnswerParameters parameters{};
};

/// Called from a thread of the model, in order; calls must be short.
class ModelSink {
 public:
  virtual ~ModelSink() = default;
  virtual void on_text(PipelineText text) = 0;
  virtual void on_end(GenerationEnd end) = 0;
};

class StageModel {
 public:
  virtual ~StageModel() = default;
  /// kUnavailable if its queue is full. on_end is called exactly once, unless this fails.
  virtual base::Result<uint64_t> start(const ModelCall& call, std::shared_ptr<ModelSink> sink) = 0;
  virtual void cancel(uint64_t generation) = 0;
};

}  // namespace neuros::pipeline
