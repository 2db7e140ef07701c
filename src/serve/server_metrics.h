#pragma once

/// Every figure of GET /metrics that the server itself measures.

#include "pipeline/language_model.h"
#include "pipeline/stages/pipeline_request.h"
#include "serve/backend.h"
#include "serve/metrics.h"

#include <atomic>
#include <string>

namespace neuros::serve {

class ServerMetrics {
 public:
  ServerMetrics();

  void request_done(const std::string& endpoint, int status, double seconds);
  /// From the request's arrival to the first new token (or scored prompt) of one choice.
  void first_token(const std::string& model, double seconds);
  /// `seconds` passed between two hand-overs of text; the later one carried `tokens` tokens.
  void next_tokens(const std::string& model, double seconds, uint64_t tokens);
  /// One choice ended.
  void generation_done(const std::string& model, const pipeline::GenerationEnd& end);
  /// A request of a pipeline ended; its stages count for their models too.
  void pipeline_done(const std::string& pipeline, const pipeline::PipelineEnd& end);
  /// All choices of a request ended.
  void answer_done(const std::string& model, double seconds);

  std::atomic<int> connections{0};
  std::atomic<int> requests_in_flight{0};

  /// The page, with a snapshot of every model.
  std::string text(const Backend& backend) const;

 private:
  double started_unix_s_;
  void stage_done(const std::string& pipeline, const pipeline::StageReport& stage);

  Counter requests_, generations_, prompt_tokens_, generated_tokens_, cached_tokens_, stage_parts_;
  Histogram request_s_, queue_s_, swap_s_, first_token_s_, inter_token_s_, answer_s_, stage_s_;
};

}  // namespace neuros::serve
