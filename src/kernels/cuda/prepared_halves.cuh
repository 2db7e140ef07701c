#pragma once

/// Writing activations as the 16-bit operand of prompt products ("Prepared halves",
/// prefill_product.h).

#include "kernels/cuda/prefill_product.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda::prefill {

/// Two numbers, the lower column's first.
template <bool kIsBf16>
__device__ __forceinline__ uint32_t round_pair(float low, float high) {
  if constexpr (kIsBf16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
}

// Lanes come in fours, t = 0 .. 3, with columns 4t .. 4t + 3 of 16 as two pairs. The first piece of
// the 16 wants the first pair of each, the second piece the second pair: neighbours swap one, and
// even lanes then have 8 bytes of the first piece, odd lanes 8 of the second.

/// Where a lane's 8 bytes for columns col .. col + 3 go, from the start of the operand.
__device__ __forceinline__ int64_t prepared_place(int64_t padded_tokens, int token, int col) {
  const int t = col / 4 % 4;
  const int piece = col % kBlockColumns / 16 * 2 + t % 2;
  const int64_t row = col / kBlockColumns * padded_tokens + token;
  return row * kBlockRowBytes + ((piece ^ (token % 8)) * 16) + t / 2 * 8;
}

/// These bytes, from both pairs of the same columns; all lanes of a warp call.
__device__ __forceinline__ uint2 prepared_halves(int col, uint32_t first, uint32_t second) {
  const bool odd = col / 4 % 2 == 1;
  const uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? first : second, 1);
  return odd ? uint2{other, second} : uint2{first, other};
}

}  // namespace neuros::kernels::cuda::prefill
