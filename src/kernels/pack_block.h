#pragma once

/// What quantise() does with one block, by format. Inside kernels/ only.

#include "kernels/blocks.h"

namespace neuros::kernels {

/// One block's values, finite and at most 2^28, and the weight of each one's squared error.
struct BlockInput {
  alignas(16) float x[256];
  alignas(16) float w[256];
};

void pack_block(const BlockInput& in, BlockQ4_0& out);
void pack_block(const BlockInput& in, BlockQ4_1& out);
void pack_block(const BlockInput& in, BlockQ5_0& out);
void pack_block(const BlockInput& in, BlockQ5_1& out);
void pack_block(const BlockInput& in, BlockQ8_0& out);
void pack_block(const BlockInput& in, BlockQ2_K& out);
void pack_block(const BlockInput& in, BlockQ3_K& out);
void pack_block(const BlockInput& in, BlockQ4_K& out);
void pack_block(const BlockInput& in, BlockQ5_K& out);
void pack_block(const BlockInput& in, BlockQ6_K& out);
void pack_block(const BlockInput& in, BlockIQ4_NL& out);
void pack_block(const BlockInput& in, BlockIQ4_XS& out);
void pack_block(const BlockInput& in, BlockTQ1_0& out);
void pack_block(const BlockInput& in, BlockTQ2_0& out);
void pack_block(const BlockInput& in, BlockQ2_0& out);
void pack_block(const BlockInput& in, BlockQ2_0_128& out);

}  // namespace neuros::kernels
