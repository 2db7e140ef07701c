#include "kernels/cuda/op_pairs.h"

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/prefill.h"

namespace neuros::kernels::cuda {
namespace {

bool run_with(const OpContext&, std::monostate, const LinearArgs&) {
  return false;
}

/// The first of two ops of a decode step. False, and nothing done: not with rows handed on.
bool run_first(const OpContext& context, const AttentionArgs& first, const HandedOn& handed) {
  return attention_handed_on(context, first, handed);
}
bool run_first(const OpContext& context, const GateUpArgs& first, const HandedOn& handed) {
  return decode_swiglu_handed_on(context, source_of(first), first.gate, first.up, handed);
}

/// Decode steps alone: both ops, the second of which reads what the first makes.
template <typename First>
bool run_decode(const OpContext& context, const First& first, const LinearArgs& second) {
  const HandedOn handed = hand_on(second.weight, second.tokens, op_scratch(context));
  if (!handed.is_possible() || !run_first(context, first, handed)) return false;
  decode_handed_on(context, handed, source_of(second), task_of(second));
  return true;
}

/// Both ops. In passes with rows of prompts decode rows go through floats, after the others, which
/// have the scratch until they are done.
bool run_with(const OpContext& context, const AttentionArgs& first, const LinearArgs& second) {
  const int64_t decode = second.decode_tokens, prompts = second.tokens - decode;
  if (second.x != first.out) return false;
  if (prompts == 0) return run_decode(context, first, second);
  const std::span<std::byte> scratch = op_scratch(context);
  const PreparedRows prepared = prepared_rows(second.weight, prompts, scratch);
  if (prepared.data == nullptr || !attention_prepared(context, first, prepared)) return false;
  const LinearTask task = task_of(second);
  prefill_prepared(context, prompts, task_from(task, decode), scratch);
  if (decode == 0) return true;
  decode_tasks(context, rows_of(source_of(second), 0, decode), {&task, 1}, scratch);
  return true;
}

bool run_with(const OpContext& context, const GateUpArgs& first, const LinearArgs& second) {
  const int64_t decode = first.decode_tokens, prompts = first.tokens - decode;
  if (second.x != first.out || second.tokens != first.tokens) return false;
  if (prompts == 0) return run_decode(context, first, second);
  const std::span<std::byte> scratch = op_scratch(context);
  const ActivationSource source = source_of(first);
  const LinearTask down = task_of(second);
  if (!prefill_feed_forward(context, rows_of(source, decode, prompts), first.gate, first.up,
                            task_from(down, decode), scratch)) {
    return false;
  }
  if (decode == 0) return true;
  decode_swiglu(context, rows_of(source, 0, decode), first.gate, first.up, first.out, scratch);
  decode_tasks(context, rows_of(source_of(second), 0, decode), {&down, 1}, scratch);
  return true;
}

void run_alone(const OpContext&, std::monostate) {}
void run_alone(const OpContext& context, const AttentionArgs& args) {
  attention(context, args);
}
void run_alone(const OpContext& context, const GateUpArgs& args) {
  gate_up(context, args);
}

}  // namespace

bool OpPairs::add(const AttentionArgs& args) {
  flush();
  waiting_ = args;
  return true;
}

bool OpPairs::add(const GateUpArgs& args) {
  flush();
  waiting_ = args;
  return true;
}

bool OpPairs::add(const LinearArgs& args) {
  const bool done =
      std::visit([&](const auto& first) { return run_with(context_, first, args); }, waiting_);
  if (done) {
    waiting_ = {};
  } else {
    flush();
  }
  return done;
}

void OpPairs::flush() {
  std::visit([&](const auto& first) { run_alone(context_, first); }, waiting_);
  waiting_ = {};
}

}  // namespace neuros::kernels::cuda
