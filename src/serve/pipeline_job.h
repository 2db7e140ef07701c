#pragma once

/// One request on its way through a pipeline: started, watched, counted, cancelled.

#include "serve/backend.h"
#include "serve/generation_job.h"
#include "serve/http.h"
#include "serve/server_metrics.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace neuros::serve {

/// Lives until the request has ended; keeps the writer and the answer alive so long.
class PipelineJob : public std::enable_shared_from_this<PipelineJob> {
 public:
  struct Options {
    std::shared_ptr<ServedPipeline> pipeline{};
    pipeline::PipelineRequest request{};
    std::string context{};
    std::unique_ptr<Answer> answer{};
    WriterPtr writer{};
    ServerMetrics* metrics = nullptr;  ///< outlives the job
    bool times = false;                ///< Usage::times is wanted
  };

  static void start(Options options);
  explicit PipelineJob(Options options);

 private:
  class Relay;
  using Time = std::chrono::steady_clock::time_point;

  void begin();
  void started();
  void text_arrived(pipeline::PipelineText text, Time when);
  void ended(const pipeline::PipelineEnd& end);
  Usage usage_of(const pipeline::PipelineEnd& end) const;
  void fail(const ApiError& error);

  Options options_;
  Time started_;
  std::optional<Time> last_text_;
  std::optional<uint64_t> request_;  ///< while it is under way
  int64_t reasoning_tokens_ = 0;
  bool over_ = false;  ///< on_done or on_error was called, or the client is gone
};

}  // namespace neuros::serve
