#pragma once

#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"

#include <cstdint>

namespace neuros::kernels {

/// The first half of a SwiGLU feed-forward (https://arxiv.org/abs/2002.05202):
/// h = rms_norm(x); out = silu(Wg h) * (Wu h).
struct GateUpArgs {
  const float* x = nullptr;            ///< [tokens, hidden]
  const float* norm_weight = nullptr;  ///< [hidden]
  float epsilon = 1e-5f;
  PackedMatrix gate, up;  ///< [ffn, hidden]
  float* out = nullptr;   ///< [tokens, ffn]
  int64_t tokens = 0;
  int64_t decode_tokens = 0;  ///< the first of them are decode steps (OpTable)
};
using GateUpFn = void (*)(const OpContext&, const GateUpArgs&);

}  // namespace neuros::kernels
