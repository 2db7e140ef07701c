#pragma once

/// What the attention kernels share: their arguments on the device, and how a batch is divided
/// among them. Sequences of a batch that decode and those of prompts go to different kernels.

#include "base/dtype.h"
#include "kernels/attention.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/prefill.h"
#include "kernels/op_context.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::cuda {

/// Passed to kernels by value; pointers are the device's.
struct AttentionView {
  const float* q = nullptr;  ///< [tokens, heads, head_dim]
  float* out = nullptr;      ///< the same
  /// Rows from first_prompt_row on go here instead, rounded as the operand of prompt products
  /// (prefill_product.h); or null. Only by attention_prompt_wgmma().
  std::byte* prepared = nullptr;
  int64_t padded_tokens = 0;  ///< of `prepared`
  int32_t first_prompt_row = 0;
  // Of the sequences of one run (AttentionRun), as in DeviceBatch.
  const int32_t* first_row = nullptr;
  const int32_t* rows = nullptr;
  const int32_t* first_position = nullptr;
  const int32_t* page_start = nullptr;
  const int32_t* pages = nullptr;
  const std::byte* layer = nullptr;  ///< this layer of page 0
  int64_t page_bytes = 0;
  int64_t head_bytes = 0;
  int64_t values_bytes = 0;  ///< from a head's keys to its values
  int32_t page_tokens = 0;
  /// 2^32 / page_tokens, rounded up: the high word of its product with a position is the position's
  /// page, as long as position * page_tokens is below 2^32.
  uint32_t page_inverse = 0;
  int32_t head_dim = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t group = 0;  ///< query heads of a KV head
  float scale = 1.0f;
  int32_t window = 0;     ///< AttentionArgs
  float soft_cap = 0.0f;  ///< AttentionArgs

  bool operator==(const AttentionView&) const = default;
};

/// Of the sequences from `first_sequence` on.
AttentionView attention_view(const AttentionArgs& args, const DeviceBatch& batch,
                             size_t first_sequence);

/// Neighbouring sequences of one class.
struct AttentionRun {
  AttentionView view;
  base::DType dtype = base::DType::kF16;
  std::span<const SequenceSlice> slices;  ///< on the host: sizes for launches
  int32_t rows_max = 0;                   ///< of one sequence
  int32_t longest = 0;                    ///< positions of the longest sequence
  bool decodes = false;
};

/// Decode rows, split along their positions. False: not for this type, head size or GPU.
bool attention_decode(const OpContext& context, const AttentionRun& run,
                      std::span<std::byte> scratch);
/// The same with results left to the product after it.
bool attention_decode(const OpContext& context, const AttentionRun& run, const HandedOn& handed);
int64_t attention_decode_scratch_bytes(const OpLimits& limits);

/// The most splits of a row whose context is no longer than `positions`.
int32_t attention_splits_max(int32_t positions);

/// Prompt rows by tensor cores. False: not for this type, head size or GPU.
bool attention_prompt(const OpContext& context, const AttentionRun& run);
/// The same by Hopper's instructions.
bool attention_prompt_wgmma(const OpContext& context, const AttentionRun& run);
bool has_attention_prompt_wgmma(const AttentionRun& run);

/// An attention op whose rows of prompts go to `prepared`, as bf16; its decode rows, which come
/// first, to args.out. False, and nothing done: not by attention_prompt_wgmma().
bool attention_prepared(const OpContext& context, const AttentionArgs& args,
                        const PreparedRows& prepared);

/// An attention op of decode rows alone whose results are left to the product after it. False, and
/// nothing done: not by attention_decode(), or in parts that the product has no use for.
bool attention_handed_on(const OpContext& context, const AttentionArgs& args,
                         const HandedOn& handed);

/// Any rows, any head size up to 256: without tensor cores.
void attention_plain(const OpContext& context, const AttentionRun& run);

/// The longest sequence's positions as the launches of decode kernels see them: a power of two
/// from 64 on, and one number for all that is longer than what changes a launch.
int32_t bucketed_positions(int32_t positions);

}  // namespace neuros::kernels::cuda
