#pragma once

#include "base/dtype.h"
#include "kernels/blocks.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace neuros::kernels {

/// One block of a file format taken apart, the same way for all types: what backends make their
/// layouts of.
struct BlockCodes {
  alignas(64) std::array<uint8_t, 256> codes;  ///< in the order of the columns; Q8_0's are q + 128
  /// Sub-scales, one a group: int8 (Q3_K, Q6_K, IQ4_XS); scale and minimum in the nibbles (Q2_K);
  /// eight scales, then eight minima (Q4_K, Q5_K).
  std::array<uint8_t, 32> sub;
  f16 d;
  f16 m;
};

/// Takes apart one block of a quantised type.
template <base::DType kType>
void read_block(const std::byte* block, BlockCodes& out);

}  // namespace neuros::kernels
