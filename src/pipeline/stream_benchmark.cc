#include "pipeline/stream_benchmark.h"

#include "pipeline/benchmark.h"
#include "pipeline/fixed_tokens.h"
#include "runtime/live_process.h"

#include <algorithm>
#include <future>
#include <memory>
#include <vector>

namespace neuros::pipeline {
namespace {

/// The steps that are timed. Only the engine's thread touches it while streams run; which is not
/// before all are submitted, so that none gets ahead.
struct Window {
  std::promise<void> submitted;
  int32_t streams = 0;
  int64_t tokens_wanted = 0;
  int32_t begun = 0;  ///< streams that have a token
  int64_t tokens = 0, positions = 0;
  int64_t opened_us = -1, closed_us = -1;

  void begin() {
    if (begun == 0) submitted.get_future().wait();
    if (++begun == streams) opened_us = runtime::now_us();
  }
  void take(int64_t position) {
    if (opened_us < 0 || closed_us >= 0) return;
    positions += position;
    if (++tokens == tokens_wanted) closed_us = runtime::now_us();
  }
};

class StreamClient final : public FixedTokens {
 public:
  StreamClient(int64_t vocabulary, int32_t prompt_tokens, std::shared_ptr<Window> window)
      : FixedTokens(vocabulary), position_(prompt_tokens), window_(std::move(window)) {}

 protected:
  runtime::NextToken next() override {
    if (first_) {
      window_->begin();
    } else {
      window_->take(position_);
    }
    first_ = false;
    ++position_;
    runtime::NextToken token = FixedTokens::next();
    token.stop = window_->closed_us >= 0;
    return token;
  }

 private:
  int64_t position_;
  bool first_ = true;
  std::shared_ptr<Window> window_;
};

/// With the page that the scheduler wants for each to grow into before it admits one more.
base::Result<> check_pages(const plan::Plan& plan, const StreamRequest& request) {
  const int64_t tokens = stream_context(request, plan.limits.batch_tokens);
  const int64_t needed =
      request.streams * ((tokens + plan.kv.page_tokens - 1) / plan.kv.page_tokens + 1);
  if (plan.limits.sequences >= request.streams && plan.kv.pages >= needed) return {};
  return base::fail("streams: " + std::to_string(request.streams) + " sequences and " +
                        std::to_string(needed) + " KV pages are needed, the plan has " +
                        std::to_string(plan.limits.sequences) + " and " +
                        std::to_string(plan.kv.pages),
                    base::ErrorKind::kOutOfMemory);
}

base::Result<> submit(runtime::Engine& engine, const StreamRequest& request,
                      const std::shared_ptr<Window>& window,
                      std::vector<std::shared_ptr<StreamClient>>& clients) {
  const plan::Plan& plan = engine.plan();
  std::mt19937_64 random(3);
  for (int32_t i = 0; i < request.streams; ++i) {
    clients.push_back(
        std::make_shared<StreamClient>(plan.program.vocabulary, request.prompt_tokens, window));
    runtime::ProcessSpec spec;
    spec.prompt = random_prompt(random, request.prompt_tokens, plan.program.vocabulary);
    spec.max_new_tokens = stream_context(request, plan.limits.batch_tokens) - request.prompt_tokens;
    spec.client = clients.back();
    TRY(engine.submit(std::move(spec)));
  }
  return {};
}

}  // namespace

int32_t stream_context(const StreamRequest& request, int32_t batch_tokens) {
  const int64_t rows = std::max(1, batch_tokens - request.streams);
  const int64_t prompts = int64_t{request.streams} * request.prompt_tokens;
  const int64_t passes = (prompts + rows - 1) / rows;
  return static_cast<int32_t>(request.prompt_tokens + passes + request.generated_tokens + 4);
}

base::Result<StreamResult> run_streams(runtime::Engine& engine, const StreamRequest& request) {
  const plan::Plan& plan = engine.plan();
  TRY(check_pages(plan, request));
  auto window = std::make_shared<Window>();
  window->streams = request.streams;
  window->tokens_wanted = int64_t{request.streams} * request.generated_tokens;
  std::vector<std::shared_ptr<StreamClient>> clients;
  const auto submitted = submit(engine, request, window, clients);
  window->submitted.set_value();
  TRY(submitted);
  for (const auto& client : clients) TRY(client->wait());
  if (window->closed_us < 0) return base::fail("streams: they never all decoded together");
  const auto us = static_cast<double>(window->closed_us - window->opened_us);
  const auto tokens = static_cast<double>(window->tokens);
  return StreamResult{.tokens_per_s = 1e6 * tokens / us,
                      .step_us = us / request.generated_tokens,
                      .positions = static_cast<double>(window->positions) / tokens};
}

double stream_step_bytes(const plan::Plan& plan, const StreamRequest& request, double positions) {
  BenchmarkRequest no_kv;
  no_kv.generated_tokens = 0;
  const double weights = token_cost(plan, no_kv).decode_bytes;
  const double kv_bytes_per_token = static_cast<double>(plan.kv.page_bytes) / plan.kv.page_tokens;
  return weights + kv_bytes_per_token * positions * request.streams;
}

}  // namespace neuros::pipeline
