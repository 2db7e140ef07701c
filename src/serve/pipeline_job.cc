#include "serve/pipeline_job.h"

#include <utility>

namespace neuros::serve {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

int64_t microseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace

/// Carries what the pipeline gives from its thread to the connection's.
class PipelineJob::Relay final : public pipeline::PipelineSink {
 public:
  explicit Relay(std::shared_ptr<PipelineJob> job)
      : job_(std::move(job)), writer_(job_->options_.writer) {}

  void on_start() override {
    writer_->post([job = job_] { job->started(); });
  }
  void on_text(pipeline::PipelineText text) override {
    writer_->post(
        [job = job_, text = std::move(text), when = std::chrono::steady_clock::now()]() mutable {
          job->text_arrived(std::move(text), when);
        });
  }
  void on_end(pipeline::PipelineEnd end) override {
    writer_->post([job = std::move(job_), end = std::move(end)] { job->ended(end); });
  }

 private:
  std::shared_ptr<PipelineJob> job_;
  WriterPtr writer_;
};

PipelineJob::PipelineJob(Options options)
    : options_(std::move(options)), started_(std::chrono::steady_clock::now()) {}

void PipelineJob::start(Options options) {
  std::make_shared<PipelineJob>(std::move(options))->begin();
}

void PipelineJob::begin() {
  options_.writer->on_client_gone([weak = weak_from_this()] {
    const auto job = weak.lock();
    if (!job || std::exchange(job->over_, true)) return;
    if (job->request_) job->options_.pipeline->cancel(*job->request_);
  });
  auto request = options_.pipeline->start(std::move(options_.request), options_.context,
                                          std::make_shared<Relay>(shared_from_this()));
  if (!request) return fail(from_error(request.error()));
  request_ = *request;
}

void PipelineJob::started() {
  if (!over_) options_.answer->on_start();
}

void PipelineJob::text_arrived(pipeline::PipelineText text, Time when) {
  const std::string& id = options_.pipeline->facts().id;
  if (!last_text_) {
    options_.metrics->first_token(id, seconds(when - started_));
  } else {
    options_.metrics->next_tokens(id, seconds(when - *last_text_),
                                  static_cast<uint64_t>(text.tokens));
  }
  last_text_ = when;
  reasoning_tokens_ += text.reasoning_tokens;
  if (over_) return;
  if (!text.reasoning.empty()) options_.answer->on_reasoning(0, std::move(text.reasoning));
  if (!text.content.empty()) options_.answer->on_text(0, std::move(text.content), {});
}

Usage PipelineJob::usage_of(const pipeline::PipelineEnd& end) const {
  Usage usage;
  usage.reasoning_tokens = reasoning_tokens_;
  for (const pipeline::StageReport& stage : end.stages) {
    usage.prompt_tokens += stage.prompt_tokens;
    usage.completion_tokens += stage.completion_tokens;
    usage.cached_tokens += stage.cached_tokens;
  }
  if (options_.times) {
    usage.times = {.total_us = microseconds(std::chrono::steady_clock::now() - started_),
                   .stages = end.stages};
  }
  return usage;
}

void PipelineJob::ended(const pipeline::PipelineEnd& end) {
  request_.reset();
  const std::string& id = options_.pipeline->facts().id;
  options_.metrics->pipeline_done(id, end);
  if (over_) return;
  if (end.reason == pipeline::FinishReason::kFailed) return fail(from_error(end.error));
  if (end.reason == pipeline::FinishReason::kCancelled) return fail(server_stopping());
  over_ = true;
  pipeline::GenerationEnd answer;
  answer.reason = end.reason;
  options_.answer->on_end(0, answer);
  options_.metrics->answer_done(id, seconds(std::chrono::steady_clock::now() - started_));
  options_.answer->on_done(usage_of(end));
}

void PipelineJob::fail(const ApiError& error) {
  if (std::exchange(over_, true)) return;
  options_.answer->on_error(error);
}

}  // namespace neuros::serve
