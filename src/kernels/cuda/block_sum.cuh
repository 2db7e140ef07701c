#pragma once

/// Sums over the threads of a warp and of a block, in an order that depends on their number only.

namespace neuros::kernels::cuda {

inline constexpr int kWarpsMax = 32;  ///< of a block

/// Every lane gets the sum over the warp, to the same bit.
__device__ __forceinline__ float warp_sum(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

/// Every thread gets the sum over the block, of whole warps. `partial` is shared, [kWarpsMax], and
/// free again after the next barrier.
__device__ __forceinline__ float block_sum(float value, float* partial) {
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  return warp_sum(lane < blockDim.x / 32 ? partial[lane] : 0.0f);
}

}  // namespace neuros::kernels::cuda
