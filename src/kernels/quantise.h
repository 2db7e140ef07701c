#pragma once

/// Conversions between floats and the block formats of GGUF files. The formats are ggml's; each
/// block's definition stands with its struct in kernels/blocks.h.

#include "base/dtype.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels {

/// out[i] = the value the format defines, exactly. `blocks` holds bytes_of(dtype, out.size()).
void dequantise(base::DType dtype, const std::byte* blocks, std::span<float> out);

/// Whether quantise() can make this type.
bool can_quantise(base::DType dtype);

/// The inverse with least error by the field's practice; values.size() is a multiple of the block.
/// `importance` (one weight per column, or empty) weighs the error where the format allows.
void quantise(base::DType dtype, std::span<const float> values, std::span<const float> importance,
              std::byte* blocks);

}  // namespace neuros::kernels
