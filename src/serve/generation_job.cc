#include "serve/generation_job.h"

#include <utility>

namespace neuros::serve {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

AnswerTimes times(const runtime::ProcessTimes& process, std::chrono::steady_clock::duration total) {
  using std::chrono::microseconds;
  const int64_t total_us = std::chrono::duration_cast<microseconds>(total).count();
  const int64_t inside =
      process.queue_us + process.swap_us + process.prefill_us + process.decode_us;
  return {.process = process, .transport_us = total_us - inside, .total_us = total_us};
}

}  // namespace

/// Carries one choice from the engine's thread to the connection's.
class GenerationJob::Relay final : public pipeline::GenerationSink {
 public:
  Relay(std::shared_ptr<GenerationJob> job, size_t choice)
      : job_(std::move(job)), writer_(job_->options_.writer), choice_(choice) {}

  void on_prompt(std::vector<pipeline::TokenInfo> tokens) override {
    writer_->post(
        [job = job_, choice = choice_, tokens = std::move(tokens), when = now()]() mutable {
          job->prompt_arrived(choice, std::move(tokens), when);
        });
  }
  void on_text(std::string text, std::vector<pipeline::TokenInfo> tokens) override {
    writer_->post([job = job_, choice = choice_, text = std::move(text), tokens = std::move(tokens),
                   when = now()]() mutable {
      job->text_arrived(choice, std::move(text), std::move(tokens), when);
    });
  }
  void on_end(pipeline::GenerationEnd end) override {
    writer_->post([job = job_, choice = choice_, end = std::move(end)]() mutable {
      job->choice_ended(choice, std::move(end));
    });
    job_.reset();
  }

 private:
  static Time now() { return std::chrono::steady_clock::now(); }

  std::shared_ptr<GenerationJob> job_;
  WriterPtr writer_;
  size_t choice_;
};

GenerationJob::GenerationJob(Options options)
    : options_(std::move(options)),
      started_(std::chrono::steady_clock::now()),
      progress_(options_.choices.size()) {}

void GenerationJob::start(Options options) {
  std::make_shared<GenerationJob>(std::move(options))->begin();
}

void GenerationJob::begin() {
  options_.writer->on_client_gone([weak = weak_from_this()] {
    const auto job = weak.lock();
    if (!job || job->over_) return;
    job->over_ = true;
    job->cancel_all();
  });
  if (auto error = submit()) return fail(*error);
  options_.answer->on_start();
}

std::optional<ApiError> GenerationJob::submit() {
  while (!over_ && submitted_ < progress_.size() && submitted_ - ended_ < options_.in_flight_max) {
    const size_t choice = submitted_;
    auto started = options_.model->generate(options_.choices[choice].request,
                                            std::make_shared<Relay>(shared_from_this(), choice));
    if (!started) return error_of_model(started.error());
    progress_[choice].generation = *started;
    ++submitted_;
  }
  return std::nullopt;
}

void GenerationJob::measure(Progress& progress, size_t tokens, Time when) {
  const std::string& model = options_.model->facts().id;
  if (!progress.last_text) {
    options_.metrics->first_token(model, seconds(when - started_));
    if (options_.route) {
      options_.route->first_token(
          std::chrono::duration_cast<std::chrono::microseconds>(when - started_).count());
    }
  } else {
    options_.metrics->next_tokens(model, seconds(when - *progress.last_text), tokens);
  }
  progress.last_text = when;
}

void GenerationJob::prompt_arrived(size_t choice, std::vector<pipeline::TokenInfo> tokens,
                                   Time when) {
  measure(progress_[choice], 0, when);
  if (!over_) options_.answer->on_prompt(choice, std::move(tokens));
}

void GenerationJob::text_arrived(size_t choice, std::string text,
                                 std::vector<pipeline::TokenInfo> tokens, Time when) {
  measure(progress_[choice], tokens.size(), when);
  if (!over_) options_.answer->on_text(choice, std::move(text), std::move(tokens));
}

void GenerationJob::choice_ended(size_t choice, pipeline::GenerationEnd end) {
  ++ended_;
  progress_[choice].generation.reset();
  const std::string& model = options_.model->facts().id;
  options_.metrics->generation_done(model, end);
  if (over_) return;
  if (options_.choices[choice].counts_prompt) {
    usage_.prompt_tokens += end.prompt_tokens;
    usage_.cached_tokens += end.cached_tokens;
  }
  usage_.completion_tokens += end.completion_tokens;
  if (end.reason == pipeline::FinishReason::kFailed) {
    return fail(error_of_model({base::ErrorKind::kIo, "The model failed: " + end.error}));
  }
  if (end.reason == pipeline::FinishReason::kCancelled) return fail(server_stopping());
  options_.answer->on_end(choice, end);
  if (auto error = submit()) {
    // Room for one more will come with the next of ours that ends.
    if (error->status != 429 || submitted_ == ended_) return fail(*error);
  }
  if (ended_ < progress_.size()) return;
  over_ = true;
  const auto total = std::chrono::steady_clock::now() - started_;
  options_.metrics->answer_done(model, seconds(total));
  if (options_.times) usage_.times = times(end.times, total);
  options_.answer->on_done(usage_);
}

ApiError GenerationJob::error_of_model(const base::Error& error) const {
  const bool failed = options_.model->boot_state().state == runtime::ModelState::kFailed;
  return failed ? model_failed(error.message) : from_error(error);
}

void GenerationJob::fail(const ApiError& error) {
  if (std::exchange(over_, true)) return;
  cancel_all();
  options_.answer->on_error(error);
}

void GenerationJob::cancel_all() {
  for (const Progress& progress : progress_) {
    if (progress.generation) options_.model->cancel(*progress.generation);
  }
}

}  // namespace neuros::serve
