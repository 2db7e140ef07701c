#include "pipeline/benchmark.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>

namespace neuros::pipeline {
namespace {

/// Takes fixed pseudo-random tokens, so that nothing but the model's work is timed.
class FixedTokens final : public runtime::ProcessClient {
 public:
  explicit FixedTokens(int32_t vocabulary) : vocabulary_(vocabulary) {}

  std::optional<runtime::NextToken> on_top_logits(const kernels::TopLogits&) override {
    return next();
  }
  runtime::NextToken on_logits(std::span<float>) override { return next(); }
  void on_end(const runtime::ProcessEnd& end) override {
    const std::lock_guard lock(mutex_);
    end_ = end;
    done_ = true;
    ended_.notify_all();
  }
  base::Result<runtime::ProcessEnd> wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return done_; });
    if (end_.reason == runtime::EndReason::kFailed) return base::fail(end_.error);
    return end_;
  }

 private:
  runtime::NextToken next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return {.id = static_cast<int32_t>((state_ >> 33) % static_cast<uint64_t>(vocabulary_))};
  }

  int32_t vocabulary_;
  uint64_t state_ = 1;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  runtime::ProcessEnd end_;
};

std::vector<int32_t> random_prompt(std::mt19937_64& random, int32_t tokens, int64_t vocabulary) {
  std::vector<int32_t> prompt(static_cast<size_t>(tokens));
  for (int32_t& id : prompt) {
    id = static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary));
  }
  return prompt;
}

base::Result<runtime::ProcessEnd> run_once(runtime::Engine& engine, std::vector<int32_t> prompt,
                                           int32_t new_tokens) {
  const auto vocabulary = static_cast<int32_t>(engine.plan().program.vocabulary);
  auto client = std::make_shared<FixedTokens>(vocabulary);
  runtime::ProcessSpec spec;
  spec.prompt = std::move(prompt);
  spec.max_new_tokens = new_tokens;
  spec.client = client;
  TRY(engine.submit(std::move(spec)));
  return client->wait();
}

double per_second(int64_t count, int64_t us) {
  return us > 0 ? 1e6 * static_cast<double>(count) / static_cast<double>(us) : 0.0;
}

double best(const std::vector<double>& values) {
  return values.empty() ? 0.0 : *std::max_element(values.begin(), values.end());
}

}  // namespace

double BenchmarkResult::best_prefill() const {
  return best(prefill_tokens_per_s);
}
double BenchmarkResult::best_decode() const {
  return best(decode_tokens_per_s);
}

base::Result<BenchmarkResult> run_benchmark(runtime::Engine& engine,
                                            const BenchmarkRequest& request) {
  const int64_t vocabulary = engine.plan().program.vocabulary;
  std::mt19937_64 random(1);
  BenchmarkResult result;
  const int32_t warm_tokens = std::min(request.prompt_tokens, 32);
  TRY(run_once(engine, random_prompt(random, warm_tokens, vocabulary), 2));
  for (int32_t i = 0; i < request.repeats; ++i) {
    const auto prefill =
        TRY(run_once(engine, random_prompt(random, request.prompt_tokens, vocabulary), 1));
    result.prefill_tokens_per_s.push_back(
        per_second(request.prompt_tokens, prefill.times.prefill_us));
    const auto decode =
        TRY(run_once(engine, random_prompt(random, 1, vocabulary), request.generated_tokens + 1));
    result.decode_tokens_per_s.push_back(
        per_second(request.generated_tokens, decode.times.decode_us));
    if (request.on_progress) request.on_progress((i + 1.0) / request.repeats);
  }
  return result;
}

TokenCost token_cost(const plan::Plan& plan, const BenchmarkRequest& request) {
  const plan::Program& program = plan.program;
  const auto* logits = std::get_if<plan::LogitsOp>(&program.segments.back().ops.back());
  TokenCost cost;
  for (const plan::WeightPlacement& weight : plan.weights) {
    const bool only_looked_up =
        weight.segment == 0 && (logits == nullptr || logits->head.name != weight.name);
    if (only_looked_up) continue;
    cost.decode_bytes += static_cast<double>(weight.bytes);
    const bool head = logits != nullptr && logits->head.name == weight.name;
    if (weight.kind == plan::WeightPlacement::Kind::kMatrix && !head) {  // one row of logits only
      cost.prefill_flops +=
          2.0 * static_cast<double>(weight.rows) * static_cast<double>(weight.cols);
    }
  }
  const double kv_bytes_per_token = static_cast<double>(plan.kv.page_bytes) / plan.kv.page_tokens;
  cost.decode_bytes += kv_bytes_per_token * request.generated_tokens / 2.0;
  cost.prefill_flops +=
      4.0 * program.layers * program.heads * program.head_dim * (request.prompt_tokens / 2.0);
  return cost;
}

}  // namespace neuros::pipeline
