#pragma once

#include "kernels/op_context.h"

#include <cstdint>

namespace neuros::kernels {

/// out = x / sqrt(mean(x^2) + epsilon) * weight, per row (https://arxiv.org/abs/1910.07467).
struct RmsNormArgs {
  const float* x = nullptr;       ///< [tokens, cols]
  const float* weight = nullptr;  ///< [cols]
  float* out = nullptr;           ///< [tokens, cols]; may be x
  int64_t tokens = 0;
  int64_t cols = 0;
  float epsilon = 1e-5f;
};
using RmsNormFn = void (*)(const OpContext&, const RmsNormArgs&);

}  // namespace neuros::kernels
