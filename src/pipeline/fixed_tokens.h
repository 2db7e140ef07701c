#pragma once

/// Processes for benchmarks, in which nothing but the model's work takes time.

#include "base/result.h"
#include "runtime/engine.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <vector>

namespace neuros::pipeline {

/// Takes fixed pseudo-random tokens, whatever the logits.
class FixedTokens : public runtime::ProcessClient {
 public:
  explicit FixedTokens(int64_t vocabulary) : vocabulary_(static_cast<uint64_t>(vocabulary)) {}

  std::optional<runtime::NextToken> on_top_logits(const kernels::TopLogits&) override {
    return next();
  }
  runtime::NextToken on_logits(std::span<float>) override { return next(); }
  void on_end(const runtime::ProcessEnd& end) override;

  /// The end, when it has come; an error if the process failed.
  base::Result<runtime::ProcessEnd> wait();

 protected:
  virtual runtime::NextToken next();

 private:
  uint64_t vocabulary_;
  uint64_t state_ = 1;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  runtime::ProcessEnd end_;
};

std::vector<int32_t> random_prompt(std::mt19937_64& random, int32_t tokens, int64_t vocabulary);

/// Runs one process of FixedTokens and waits for its end.
base::Result<runtime::ProcessEnd> run_fixed(runtime::Engine& engine, std::vector<int32_t> prompt,
                                            int32_t new_tokens);

}  // namespace neuros::pipeline
