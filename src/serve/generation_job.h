#pragma once

/// The choices of one request on their way through a model: started, watched, counted, cancelled.

#include "serve/api_error.h"
#include "serve/backend.h"
#include "serve/http.h"
#include "serve/server_metrics.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace neuros::serve {

/// Where the time of an answer went; the parts add up to `total_us`.
struct AnswerTimes {
  runtime::ProcessTimes process{};  ///< of the choice that ended last
  int64_t transport_us = 0;         ///< the rest: JSON, sockets, other choices of the request
  int64_t total_us = 0;             ///< from the request to the end of its answer
  /// Of a pipeline, in place of the parts above: stages may run at the same time.
  std::vector<pipeline::StageReport> stages{};
};

struct Usage {
  int64_t prompt_tokens = 0;  ///< each prompt once, however many choices it has
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t reasoning_tokens = 0;
  std::optional<AnswerTimes> times{};  ///< where they were asked for
};

/// The shape an endpoint gives an answer; plain or streamed. Called on the connection's thread of
/// execution, in order per choice.
class Answer {
 public:
  virtual ~Answer() = default;
  /// The first choices were accepted: headers may go out.
  virtual void on_start() = 0;
  virtual void on_prompt(size_t choice, std::vector<pipeline::TokenInfo> tokens) = 0;
  virtual void on_text(size_t choice, std::string text,
                       std::vector<pipeline::TokenInfo> tokens) = 0;
  /// Thoughts that come apart from the text; of pipelines only.
  virtual void on_reasoning(size_t /*choice*/, std::string /*text*/) {}
  /// `end.reason` is kStop or kLength.
  virtual void on_end(size_t choice, const pipeline::GenerationEnd& end) = 0;
  /// Every choice ended. Last call.
  virtual void on_done(Usage usage) = 0;
  /// The request failed, before or after on_start. Last call.
  virtual void on_error(const ApiError& error) = 0;
};

/// Lives until every choice has ended; keeps the writer and the answer alive so long.
class GenerationJob : public std::enable_shared_from_this<GenerationJob> {
 public:
  struct Choice {
    pipeline::GenerationRequest request{};
    bool counts_prompt = true;  ///< false for the second and later choices of one prompt
  };
  struct Options {
    std::shared_ptr<ServedModel> model{};
    std::vector<Choice> choices{};
    std::unique_ptr<Answer> answer{};
    WriterPtr writer{};
    ServerMetrics* metrics = nullptr;      ///< outlives the job
    size_t in_flight_max = 32;             ///< choices submitted at one time
    bool times = false;                    ///< Usage::times is wanted
    std::shared_ptr<ServedRoute> route{};  ///< that gave the model; null: none
  };

  static void start(Options options);
  explicit GenerationJob(Options options);

 private:
  class Relay;
  using Time = std::chrono::steady_clock::time_point;
  struct Progress {
    std::optional<uint64_t> generation;  ///< while it runs
    std::optional<Time> last_text;
  };

  void begin();
  /// Submits choices while there is room; the error of the first that was refused.
  std::optional<ApiError> submit();
  void prompt_arrived(size_t choice, std::vector<pipeline::TokenInfo> tokens, Time when);
  void text_arrived(size_t choice, std::string text, std::vector<pipeline::TokenInfo> tokens,
                    Time when);
  void choice_ended(size_t choice, pipeline::GenerationEnd end);
  void measure(Progress& progress, size_t tokens, Time when);
  /// Of the model's own failure rather than the request's, where it never came up.
  ApiError error_of_model(const base::Error& error) const;
  void fail(const ApiError& error);
  void cancel_all();

  Options options_;
  Time started_;
  std::vector<Progress> progress_;
  size_t submitted_ = 0, ended_ = 0;
  Usage usage_;
  bool over_ = false;  ///< on_done or on_error was called, or the client is gone
};

}  // namespace neuros::serve
