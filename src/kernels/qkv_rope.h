#pragma once

#include "kernels/kv_layout.h"
#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"
#include "kernels/rope.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// From the residual stream to rotated queries, and keys and values in their pages:
/// h = rms_norm(x); q, k, v = W h + b; q, k = rms_norm per head (where given); q, k = rope(q, k);
/// k and v are written to the pages of their positions.
struct QkvRopeArgs {
  const float* x = nullptr;            ///< [tokens, hidden]
  const float* norm_weight = nullptr;  ///< [hidden]
  float epsilon = 1e-5f;
  PackedMatrix wq, wk, wv;    ///< [heads * head_dim, hidden], twice [kv_heads * head_dim, hidden]
  const float* bq = nullptr;  ///< biases, or null
  const float* bk = nullptr;
  const float* bv = nullptr;
  const float* q_norm = nullptr;  ///< [head_dim] or null
  const float* k_norm = nullptr;
  const float* rope_table = nullptr;  ///< [tokens, rope_dims/2, 2]; null: no rotation
  int32_t rope_dims = 0;              ///< rotated leading elements of a head, even
  RopeStyle rope_style = RopeStyle::kHalves;
  int32_t heads = 0;
  std::span<const SequenceSlice> sequences;
  KvCache kv;
  int32_t layer = 0;   ///< which layer of the pages
  float* q = nullptr;  ///< out: [tokens, heads * head_dim]
  int64_t tokens = 0;
  int64_t decode_tokens = 0;  ///< the first of them are decode steps (OpTable)
};
using QkvRopeFn = void (*)(const OpContext&, const QkvRopeArgs&);

}  // namespace neuros::kernels
