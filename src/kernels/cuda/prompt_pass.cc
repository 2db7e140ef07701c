#include "kernels/cuda/prompt_pass.h"

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/prefill.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

bool run_with(const OpContext&, std::monostate, const LinearArgs&) {
  return false;
}

/// Both ops, the second of which reads what the first makes. Decode rows go through floats, after
/// the others, which have the scratch until they are done.
bool run_with(const OpContext& context, const AttentionArgs& first, const LinearArgs& second) {
  const int64_t decode = second.decode_tokens, prompts = second.tokens - decode;
  if (second.x != first.out || prompts == 0) return false;
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
  if (second.x != first.out || second.tokens != first.tokens || prompts == 0) return false;
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

bool PromptPass::takes(const BatchView& view) {
  return std::ranges::any_of(view.sequences,
                             [](const SequenceSlice& slice) { return !slice.decodes; });
}

bool PromptPass::add(const AttentionArgs& args) {
  flush();
  waiting_ = args;
  return true;
}

bool PromptPass::add(const GateUpArgs& args) {
  flush();
  waiting_ = args;
  return true;
}

bool PromptPass::add(const LinearArgs& args) {
  const bool done =
      std::visit([&](const auto& first) { return run_with(context_, first, args); }, waiting_);
  if (done) {
    waiting_ = {};
  } else {
    flush();
  }
  return done;
}

void PromptPass::flush() {
  std::visit([&](const auto& first) { run_alone(context_, first); }, waiting_);
  waiting_ = {};
}

}  // namespace neuros::kernels::cuda
