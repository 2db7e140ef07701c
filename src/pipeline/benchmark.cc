#include "pipeline/benchmark.h"

#include "pipeline/fixed_tokens.h"

#include <algorithm>
#include <random>

namespace neuros::pipeline {
namespace {

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
  TRY(run_fixed(engine, random_prompt(random, warm_tokens, vocabulary), 2));
  for (int32_t i = 0; i < request.repeats; ++i) {
    const auto prefill =
        TRY(run_fixed(engine, random_prompt(random, request.prompt_tokens, vocabulary), 1));
    result.prefill_tokens_per_s.push_back(
        per_second(request.prompt_tokens, prefill.times.prefill_us));
    const auto decode =
        TRY(run_fixed(engine, random_prompt(random, 1, vocabulary), request.generated_tokens + 1));
    result.decode_tokens_per_s.push_back(
        per_second(request.generated_tokens, decode.times.decode_us));
    if (request.on_progress) request.on_progress((i + 1.0) / request.repeats);
  }
  return result;
}

base::Result<FirstTokenTimes> measure_first_token(runtime::Engine& engine,
                                                  const BenchmarkRequest& request) {
  const int64_t vocabulary = engine.plan().program.vocabulary;
  std::mt19937_64 random(1);
  std::vector<int64_t> times;
  for (int32_t i = 0; i <= request.repeats; ++i) {
    const auto end =
        TRY(run_fixed(engine, random_prompt(random, request.prompt_tokens, vocabulary), 1));
    times.push_back(end.times.queue_us + end.times.prefill_us);
  }
  const auto middle = times.begin() + 1 + request.repeats / 2;
  std::nth_element(times.begin() + 1, middle, times.end());
  return FirstTokenTimes{.after_boot_us = times.front(), .later_us = *middle};
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
