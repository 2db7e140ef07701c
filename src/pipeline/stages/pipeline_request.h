#pragma once

/// What a pipeline is asked, and what it answers.

#include "base/result.h"
#include "pipeline/language_model.h"
#include "pipeline/stages/request_values.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace neuros::pipeline {

/// How the stage that gives the answer generates, where it runs a model.
struct AnswerParameters {
  /// From the defaults of the model that answers; empty: those.
  std::function<SamplingParams(const SamplingParams& defaults)> sampling{};
  std::optional<int32_t> max_tokens{};  ///< the stage's own limit holds too
  std::vector<std::string> stop{};
  std::vector<int32_t> stop_tokens{};
  bool ignore_eos = false;
  bool show_special = false;  ///< control tokens appear in the text
};

struct PipelineRequest {
  StageValue request;  ///< `$request`: the last user message, or the prompt
  /// Of a chat: a list of {"role", "content"} whose last user message is the request. Null: none.
  std::shared_ptr<const nlohmann::ordered_json> conversation{};
  RequestFacts facts{};
  std::optional<sched::Priority> priority{};  ///< of all its stages; absent: as each says
  AnswerParameters parameters{};
};

struct PipelineText {
  std::string content, reasoning;  ///< either may be empty
  int32_t tokens = 0;
  int32_t reasoning_tokens = 0;  ///< of these
};

/// One run of one stage.
struct StageReport {
  std::string stage;
  std::string model;  ///< "": a tool
  int32_t round = 1;
  int64_t start_us = 0, end_us = 0;  ///< since the request arrived
  runtime::ProcessTimes times{};     ///< of a tool only queue_us: waiting for a thread
  int32_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
};

struct PipelineEnd {
  FinishReason reason = FinishReason::kStop;  ///< of the stage that gave the answer
  base::Error error{};                        ///< for kFailed; begins with the stage
  std::vector<StageReport> stages{};  ///< in the order they started; skipped ones are not there
};

/// Where an answer goes. Called from the executor's thread in order; calls must be short.
class PipelineSink {
 public:
  virtual ~PipelineSink() = default;
  /// The first stages have started. Not called if that failed.
  virtual void on_start() {}
  virtual void on_text(PipelineText text) = 0;
  virtual void on_end(PipelineEnd end) = 0;
};

}  // namespace neuros::pipeline
