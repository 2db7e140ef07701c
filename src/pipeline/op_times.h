#pragma once

/// Where forward passes spend their time, operator by operator.

#include "base/result.h"
#include "plan/plan.h"
#include "runtime/engine.h"
#include "runtime/pass_observer.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// An operator's part of a pass, all its calls together.
struct OpShare {
  std::string name;
  int64_t calls = 0;
  double us = 0;
  double weight_bytes = 0;  ///< read at least: its weights, once
  double operations = 0;    ///< two for each weight and row
};

/// One kind of pass, on average.
struct PassProfile {
  int64_t passes = 0;
  double rows = 0;
  double watched_us = 0;    ///< from the end of the pass before, op by op
  double unwatched_us = 0;  ///< the same work when nobody watches
  std::vector<OpShare> ops{};
};

/// Adds up the passes of a booted model while it watches: prompts apart from decode steps. A pass
/// of both is left out.
class OpTimes final : public runtime::PassObserver {
 public:
  void watch(bool on) { watches_ = on; }
  bool watches() const override { return watches_; }
  void on_pass(const runtime::PassTimes& times) override;

  /// While no process runs. Without unwatched_us.
  PassProfile prompt(const plan::Plan& plan) const { return profile(prompt_, plan); }
  PassProfile decode(const plan::Plan& plan) const { return profile(decode_, plan); }

 private:
  /// Sums over passes of one kind, microseconds.
  struct Sums {
    int64_t passes = 0, rows = 0;
    std::vector<double> ops;
    double staging = 0, top_logits = 0, copies = 0, forward = 0, between = 0;
    int64_t gaps = 0;  ///< passes that directly followed another

    void add(const runtime::PassTimes& times);
  };
  static PassProfile profile(const Sums& sums, const plan::Plan& plan);

  std::atomic<bool> watches_ = false;
  Sums prompt_, decode_;
  int64_t last_ended_us_ = -1;
};

struct OpProfile {
  PassProfile prompt, decode;
};

/// Runs a prompt and then tokens one by one, once unwatched and once watched by `times`, which the
/// engine was booted with.
base::Result<OpProfile> profile_ops(runtime::Engine& engine, OpTimes& times, int32_t prompt_tokens,
                                    int32_t generated_tokens);

}  // namespace neuros::pipeline
