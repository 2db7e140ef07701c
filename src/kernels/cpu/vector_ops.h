#pragma once

/// The ops that are not matrix products, per instruction set: one table each, compiled from one
/// Highway source. Every function is batch-invariant: it sums in an order that only the row's own
/// size and position decide.

#include "base/cpu_features.h"
#include "kernels/attention.h"
#include "kernels/encoder_attention.h"
#include "kernels/qkv_rope.h"
#include "kernels/rope.h"

#include <cstdint>

namespace neuros::kernels::cpu {

/// Query rows that one attention unit computes together.
inline constexpr int32_t kAttentionRows = 8;

/// One unit of attention: `rows` consecutive rows of one sequence, from its row `first` on, all
/// query heads of one KV head.
struct AttentionUnit {
  const AttentionArgs* args = nullptr;
  const SequenceSlice* sequence = nullptr;
  int32_t first = 0, rows = 0, kv_head = 0;
  float* scratch = nullptr;  ///< attention_scratch_floats(...) of this worker
};

/// Of encoder attention: query rows of a unit, and keys of a step.
inline constexpr int32_t kEncoderRows = 32;
inline constexpr int32_t kEncoderKeys = 64;

/// One unit of encoder attention: some neighbouring rows of one item, one head.
struct EncoderUnit {
  const EncoderAttentionArgs* args = nullptr;
  int32_t item_first = 0, item_end = 0;
  int32_t row = 0, rows = 0;  ///< at most kEncoderRows of the item's
  int32_t head = 0;
  float* scratch = nullptr;  ///< encoder_scratch_floats(...) of this worker
};

/// Per head of one row: norm, rotation. In place.
struct HeadArgs {
  float* head = nullptr;        ///< [head_dim]
  const float* norm = nullptr;  ///< [head_dim] or null
  const float* rope = nullptr;  ///< [rope_dims/2, 2] or null
  float epsilon = 1e-5f;
  int32_t head_dim = 0, rope_dims = 0;
  RopeStyle style = RopeStyle::kHalves;
};

/// Writes a key and a value [head_dim] of one KV head to their place in a page.
struct StoreArgs {
  const float* key = nullptr;
  const float* value = nullptr;
  std::byte* keys = nullptr;  ///< of the page and head
  std::byte* values = nullptr;
  const KvLayout* layout = nullptr;
  int32_t place = 0;  ///< position within the page
};

struct VectorOps {
  void (*attend)(const AttentionUnit&) = nullptr;
  void (*attend_encoder)(const EncoderUnit&) = nullptr;
  void (*finish_head)(const HeadArgs&) = nullptr;
  void (*store)(const StoreArgs&) = nullptr;
  /// out = x / sqrt(mean(x^2) + epsilon) * weight
  void (*normalise)(const float* x, const float* weight, float epsilon, int64_t cols,
                    float* out) = nullptr;
};

/// The table for a level; levels above AVX-512 share its table.
const VectorOps& vector_ops(base::CpuLevel level);

/// Floats of scratch one worker needs for an attention unit.
int64_t attention_scratch_floats(int64_t heads, int64_t head_dim);
int64_t encoder_scratch_floats(int64_t head_dim);

}  // namespace neuros::kernels::cpu
