#pragma once

/// Finishing the heads of a layer: what the products of queries, keys and values left, and where
/// it goes.

#include "base/dtype.h"
#include "kernels/op_context.h"
#include "kernels/qkv_rope.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda {

/// Passed to kernels by value; pointers are the device's.
struct HeadsView {
  float* q = nullptr;             ///< [tokens, heads, head_dim], finished in place
  const float* k = nullptr;       ///< [tokens, kv_heads, head_dim]
  const float* v = nullptr;       ///< the same
  const float* q_norm = nullptr;  ///< [head_dim] or null
  const float* k_norm = nullptr;
  float epsilon = 0.0f;
  const float* rope = nullptr;  ///< [tokens, rope_dims / 2, 2] or null
  int32_t rope_dims = 0;
  bool interleaved = false;
  int32_t heads = 0, kv_heads = 0, head_dim = 0;
  const int32_t* positions = nullptr;
  const int32_t* sequence_of_row = nullptr;
  const int32_t* page_start = nullptr;
  const int32_t* pages = nullptr;
  std::byte* layer = nullptr;  ///< this layer of page 0
  int64_t page_bytes = 0, head_bytes = 0;
  int32_t page_tokens = 0;

  bool operator==(const HeadsView&) const = default;
};

/// Of an op whose products left keys and values at `k` and `v`.
HeadsView heads_view(const OpContext& context, const QkvRopeArgs& args, const float* k,
                     const float* v);

/// Norms and rotates the heads of `tokens` rows, the first `decode_tokens` of them decode steps, and
/// writes keys and values to their pages.
void finish_heads(const OpContext& context, base::DType pages, const HeadsView& view,
                  int64_t tokens, int64_t decode_tokens);
/// The same for rows of prompts, faster. False: not for these heads.
bool finish_prompt_heads(const OpContext& context, base::DType pages, const HeadsView& view,
                         int64_t tokens);

}  // namespace neuros::kernels::cuda
