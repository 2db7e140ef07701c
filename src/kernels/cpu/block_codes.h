#pragma once

#include "base/dtype.h"
#include "kernels/blocks.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cpu {

/// One block of a file format taken apart: what one row contributes to one record of a panel.
struct BlockCodes {
  alignas(64) std::array<uint8_t, 256> codes;  ///< in the order of the columns
  std::array<uint8_t, 32> sub;                 ///< sub-scales as PanelFormat::sub_scales says
  f16 d;
  f16 m;
};

/// Takes apart one block of a quantised type.
template <base::DType kType>
void read_block(const std::byte* block, BlockCodes& out);

}  // namespace neuros::kernels::cpu
