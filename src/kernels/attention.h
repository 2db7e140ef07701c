#pragma once

#include "kernels/kv_layout.h"
#include "kernels/op_context.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// Causal attention of each row over the pages of its sequence, its own position included:
/// out = softmax(soft_cap(scale * q k^T)) v. Query head h reads KV head h / (heads / kv_heads).
struct AttentionArgs {
  const float* q = nullptr;  ///< [tokens, heads * head_dim]
  float* out = nullptr;      ///< [tokens, heads * head_dim]
  std::span<const SequenceSlice> sequences;
  KvCache kv;
  int32_t layer = 0;
  int32_t heads = 0;
  float scale = 1.0f;     ///< usually 1 / sqrt(head_dim)
  int32_t window = 0;     ///< sliding window: the last `window` positions, own included; 0: all
  float soft_cap = 0.0f;  ///< c * tanh(score / c); 0: none
};
using AttentionFn = void (*)(const OpContext&, const AttentionArgs&);

}  // namespace neuros::kernels
