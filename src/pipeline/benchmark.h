#pragma once

/// Throughput of a booted model, as the field measures it: one long prompt, then tokens one by one.

#include "base/result.h"
#include "plan/plan.h"
#include "runtime/engine.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace neuros::pipeline {

struct BenchmarkRequest {
  int32_t prompt_tokens = 512;
  int32_t generated_tokens = 64;
  int32_t repeats = 3;
  std::function<void(double)> on_progress;
};

struct BenchmarkResult {
  std::vector<double> prefill_tokens_per_s;  ///< one per repeat
  std::vector<double> decode_tokens_per_s;
  double best_prefill() const;
  double best_decode() const;
};

/// From a request to its first token.
struct FirstTokenTimes {
  int64_t after_boot_us = 0;  ///< of the first request there was
  int64_t later_us = 0;       ///< of the ones that followed, the median
};

/// What one token costs at least.
struct TokenCost {
  double decode_bytes = 0;   ///< weights read once, and the KV of half the generated length
  double prefill_flops = 0;  ///< two per weight, plus attention over half the prompt, per token
};

/// Random prompts of fixed seed; each decode runs on an almost empty context, like llama-bench's.
base::Result<BenchmarkResult> run_benchmark(runtime::Engine& engine,
                                            const BenchmarkRequest& request);

/// Of prompts of one length, one after another; to be the first that a booted engine is asked for.
base::Result<FirstTokenTimes> measure_first_token(runtime::Engine& engine,
                                                  const BenchmarkRequest& request);

TokenCost token_cost(const plan::Plan& plan, const BenchmarkRequest& request);

}  // namespace neuros::pipeline
