#pragma once

#include "kernels/op_context.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// Attention without a mask, as encoders of text and speech have it: every row of an item attends
/// to all rows of its item and to no other, out = softmax(scale * q k^T) v
/// (https://arxiv.org/abs/1706.03762). Items of different lengths lie one after another.
///
/// Numbers are f16, given as their bits; sums are floats. Rows may be wider than what is read of
/// them, so that q, k and v can be parts of one product's output. head_dim is at most 256.
struct EncoderAttentionArgs {
  const uint16_t* q = nullptr;  ///< [rows, heads * head_dim]
  const uint16_t* k = nullptr;  ///< the same
  const uint16_t* v = nullptr;  ///< the same
  uint16_t* out = nullptr;      ///< the same; apart from the others
  // Elements from one row to the next.
  int64_t q_stride = 0;
  int64_t k_stride = 0;
  int64_t v_stride = 0;
  int64_t out_stride = 0;
  /// [items + 1], never falling, on the host: item i is the rows [starts[i], starts[i + 1]). Other
  /// rows are neither used nor written.
  std::span<const int32_t> starts;
  int32_t heads = 0;
  int32_t head_dim = 0;
  float scale = 1.0f;  ///< above 0; usually 1 / sqrt(head_dim)
};
using EncoderAttentionFn = void (*)(const OpContext&, const EncoderAttentionArgs&);

inline constexpr int32_t kEncoderHeadDimMax = 256;

}  // namespace neuros::kernels
