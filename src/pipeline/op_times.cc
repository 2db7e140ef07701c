#include "pipeline/op_times.h"

#include "pipeline/fixed_tokens.h"

#include <algorithm>
#include <numeric>
#include <variant>

namespace neuros::pipeline {
namespace {

/// A longer pause is not the engine's work between two passes.
constexpr int64_t kGapUsMax = 20'000;

/// "linear ffn_down" where the weight is blk.3.ffn_down.weight: ops of one name differ by their
/// weight.
std::string label(const plan::Op& op) {
  const auto* linear = std::get_if<plan::LinearResidualOp>(&op);
  if (linear == nullptr) return plan::name(op);
  std::string weight = linear->weight.name.substr(0, linear->weight.name.rfind('.'));
  weight = weight.substr(weight.rfind('.') + 1);
  return "linear " + weight;
}

/// One call's weights and operations.
OpShare cost_of(const plan::Op& op, const plan::Plan& plan, double rows) {
  OpShare share{.name = label(op), .calls = 1};
  if (std::holds_alternative<plan::EmbedOp>(op)) return share;  // looked up, not read
  if (std::holds_alternative<plan::LogitsOp>(op)) rows = 1.0;
  for (const plan::WeightRef* ref : plan::weights_of(op)) {
    const plan::WeightPlacement* weight = plan.find_weight(ref->name);
    if (weight == nullptr) continue;
    share.weight_bytes += static_cast<double>(weight->bytes);
    if (weight->kind != plan::WeightPlacement::Kind::kMatrix) continue;
    share.operations +=
        2.0 * rows * static_cast<double>(weight->rows) * static_cast<double>(weight->cols);
  }
  return share;
}

void add(const OpShare& share, std::vector<OpShare>& ops) {
  const auto same = std::ranges::find(ops, share.name, &OpShare::name);
  if (same == ops.end()) return ops.push_back(share);
  same->calls += share.calls;
  same->us += share.us;
  same->weight_bytes += share.weight_bytes;
  same->operations += share.operations;
}

std::vector<const plan::Op*> ops_of(const plan::Program& program) {
  std::vector<const plan::Op*> ops;
  for (const plan::Segment& segment : program.segments) {
    for (const plan::Op& op : segment.ops) ops.push_back(&op);
  }
  return ops;
}

}  // namespace

void OpTimes::Sums::add(const runtime::PassTimes& times) {
  ++passes;
  rows += times.prompt_tokens + times.decode_tokens;
  ops.resize(times.ops_us.size());
  for (size_t i = 0; i < ops.size(); ++i) ops[i] += times.ops_us[i];
  staging += times.staging_us;
  top_logits += times.top_logits_us;
  copies += times.copies_us;
  forward += static_cast<double>(times.ended_us - times.started_us);
}

void OpTimes::on_pass(const runtime::PassTimes& times) {
  const int64_t gap_us = times.started_us - last_ended_us_;
  const bool follows = last_ended_us_ >= 0 && gap_us < kGapUsMax;
  last_ended_us_ = times.ended_us;
  if (times.prompt_tokens > 0 && times.decode_tokens > 0) return;
  Sums& sums = times.prompt_tokens > 0 ? prompt_ : decode_;
  sums.add(times);
  if (!follows) return;
  sums.between += static_cast<double>(gap_us);
  ++sums.gaps;
}

PassProfile OpTimes::profile(const Sums& sums, const plan::Plan& plan) {
  PassProfile profile{.passes = sums.passes};
  if (sums.passes == 0) return profile;
  const auto passes = static_cast<double>(sums.passes);
  profile.rows = static_cast<double>(sums.rows) / passes;
  const std::vector<const plan::Op*> ops = ops_of(plan.program);
  for (size_t i = 0; i < sums.ops.size(); ++i) {
    OpShare share = cost_of(*ops[i], plan, profile.rows);
    share.us = sums.ops[i] / passes;
    add(share, profile.ops);
  }
  const double parts = std::accumulate(sums.ops.begin(), sums.ops.end(), 0.0) + sums.staging +
                       sums.top_logits + sums.copies;
  const double between = sums.gaps == 0 ? 0.0 : sums.between / static_cast<double>(sums.gaps);
  const auto other = [&](const char* name, double us) {
    profile.ops.push_back({.name = name, .calls = 1, .us = us});
  };
  other("top_logits", sums.top_logits / passes);
  other("logits to the host", sums.copies / passes);
  other("batch to the device", sums.staging / passes);
  other("launching, waiting", (sums.forward - parts) / passes);
  other("sampling, scheduling", between);
  profile.watched_us = sums.forward / passes + between;
  return profile;
}

base::Result<OpProfile> profile_ops(runtime::Engine& engine, OpTimes& times, int32_t prompt_tokens,
                                    int32_t generated_tokens) {
  const plan::Plan& plan = engine.plan();
  std::mt19937_64 random(2);
  const auto run = [&]() {
    return run_fixed(engine, random_prompt(random, prompt_tokens, plan.program.vocabulary),
                     generated_tokens + 1);
  };
  TRY(run());
  const runtime::ProcessEnd unwatched = TRY(run());
  times.watch(true);
  const auto watched = run();
  times.watch(false);
  TRY(watched);
  OpProfile profile{.prompt = times.prompt(plan), .decode = times.decode(plan)};
  if (profile.prompt.passes == 0 || profile.decode.passes == 0) {
    return base::fail("ops: no passes were watched");
  }
  profile.prompt.unwatched_us =
      static_cast<double>(unwatched.times.prefill_us) / static_cast<double>(profile.prompt.passes);
  profile.decode.unwatched_us = static_cast<double>(unwatched.times.decode_us) / generated_tokens;
  return profile;
}

}  // namespace neuros::pipeline
