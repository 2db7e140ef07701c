#pragma once

#include "kernels/op_context.h"
#include "kernels/packed_matrix.h"

#include <cstdint>

namespace neuros::kernels {

/// A convolution over time with its GELU, as speech encoders start, and what the layer norm after
/// it needs (https://arxiv.org/abs/2212.04356, section 2.2):
///
///   y[item, o] = gelu(bias + sum over taps of weight[tap] x[item, o * stride - padding + tap])
///                + positions[o]
///
/// where frames outside the item are zeros and gelu(z) = z / 2 * (1 + erf(z / sqrt(2))), the exact
/// one. 16-bit numbers are f16, given as their bits; sums are floats. All items are equally long.
struct Conv1dGeluArgs {
  PackedMatrix weight;                  ///< [channels out, taps * channels]: a row has tap 0 first
  const float* bias = nullptr;          ///< [channels out] or null
  const uint16_t* x = nullptr;          ///< [items, frames, channels]
  const uint16_t* positions = nullptr;  ///< [frames out, channels out] or null
  uint16_t* y = nullptr;                ///< [items, frames out, channels out]
  float* mean = nullptr;                ///< [items * frames out], of rows of y as they are written
  float* inverse_deviation = nullptr;   ///< the same: 1 / sqrt(variance + epsilon)
  int32_t items = 0;
  int32_t frames = 0;    ///< of an item of x; with the padding at least `taps`
  int32_t channels = 0;  ///< of x
  int32_t taps = 0;
  int32_t stride = 1;
  int32_t padding = 0;  ///< frames of zeros before and after an item
  float epsilon = 1e-5f;

  int32_t frames_out() const { return (frames + 2 * padding - taps) / stride + 1; }
  int64_t rows() const { return static_cast<int64_t>(items) * frames_out(); }
};
using Conv1dGeluFn = void (*)(const OpContext&, const Conv1dGeluArgs&);

}  // namespace neuros::kernels
