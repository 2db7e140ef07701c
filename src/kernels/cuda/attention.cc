#include "kernels/attention.h"

#include "base/check.h"
#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/op_pairs.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/step_program.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int32_t kHeadDimMax = 256;

void attend(const OpContext& context, const AttentionRun& run) {
  const bool done = run.decodes ? attention_decode(context, run, op_scratch(context))
                                : attention_prompt(context, run);
  if (!done) attention_plain(context, run);
}

int32_t longest_of(std::span<const SequenceSlice> sequences) {
  int32_t longest = 0;
  for (const SequenceSlice& slice : sequences) {
    longest = std::max(longest, slice.first_position + slice.rows);
  }
  return longest;
}

}  // namespace

AttentionView attention_view(const AttentionArgs& args, const DeviceBatch& batch,
                             size_t first_sequence) {
  const KvLayout& layout = args.kv.layout;
  CHECK(layout.head_dim <= kHeadDimMax && layout.page_tokens % 16 == 0);
  CHECK(args.heads % layout.kv_heads == 0);
  return {.q = args.q,
          .out = args.out,
          .first_row = batch.first_row + first_sequence,
          .rows = batch.rows + first_sequence,
          .first_position = batch.first_position + first_sequence,
          .page_start = batch.page_start + first_sequence,
          .pages = batch.pages,
          .layer = args.kv.keys(0, args.layer, 0),
          .page_bytes = layout.page_bytes(),
          .head_bytes = layout.head_bytes(),
          .values_bytes = layout.kv_heads * layout.head_bytes(),
          .page_tokens = layout.page_tokens,
          .page_inverse = 0xffffffffu / static_cast<uint32_t>(layout.page_tokens) + 1,
          .head_dim = layout.head_dim,
          .heads = args.heads,
          .kv_heads = layout.kv_heads,
          .group = args.heads / layout.kv_heads,
          .scale = args.scale,
          .window = args.window,
          .soft_cap = args.soft_cap};
}

int64_t attention_scratch_bytes(const OpLimits& limits) {
  return attention_decode_scratch_bytes(limits);
}

int32_t attention_bucket(std::span<const SequenceSlice> sequences) {
  return bucketed_positions(longest_of(sequences));
}

namespace {

/// The run of one class that starts with sequence `first`.
AttentionRun run_from(const OpContext& context, const AttentionArgs& args, size_t first) {
  const bool decodes = args.sequences[first].decodes;
  int32_t rows_max = 0;
  size_t end = first;
  for (; end < args.sequences.size() && args.sequences[end].decodes == decodes; ++end) {
    rows_max = std::max(rows_max, args.sequences[end].rows);
  }
  CHECK(!decodes || rows_max == 1, "a decode step is one row");
  const auto slices = args.sequences.subspan(first, end - first);
  return {.view = attention_view(args, batch_of(context), first),
          .dtype = args.kv.layout.dtype,
          .slices = slices,
          .rows_max = rows_max,
          .longest = longest_of(slices),
          .decodes = decodes};
}

}  // namespace

void attention(const OpContext& context, const AttentionArgs& args) {
  if (StepProgram* step = step_program(context); step != nullptr && step->add(args)) return;
  if (OpPairs* pairs = op_pairs(context); pairs != nullptr && pairs->add(args)) return;
  // Two runs at most where decode rows come first.
  for (size_t first = 0; first < args.sequences.size();) {
    const AttentionRun run = run_from(context, args, first);
    attend(context, run);
    first += run.slices.size();
  }
}

bool attention_prepared(const OpContext& context, const AttentionArgs& args,
                        const PreparedRows& prepared) {
  size_t decodes = 0;
  while (decodes < args.sequences.size() && args.sequences[decodes].decodes) ++decodes;
  if (decodes == args.sequences.size()) return false;
  AttentionRun prompts = run_from(context, args, decodes);
  if (decodes + prompts.slices.size() < args.sequences.size()) return false;
  if (!has_attention_prompt_wgmma(prompts)) return false;
  if (decodes > 0) attend(context, run_from(context, args, 0));  // it needs the scratch, too
  prompts.view.prepared = prepared.data;
  prompts.view.padded_tokens = prepared.padded_tokens;
  prompts.view.first_prompt_row = static_cast<int32_t>(decodes);
  CHECK(attention_prompt_wgmma(context, prompts));
  return true;
}

bool attention_handed_on(const OpContext& context, const AttentionArgs& args,
                         const HandedOn& handed) {
  const AttentionRun run = run_from(context, args, 0);
  return run.decodes && run.slices.size() == args.sequences.size() &&
         attention_decode(context, run, handed);
}

}  // namespace neuros::kernels::cuda
