#pragma once

/// What the wgmma kernels of prompt rows share: rings (ring_place.cuh) of clusters of blocks.

#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tile.cuh"
#include "kernels/cuda/ring_place.cuh"

namespace neuros::kernels::cuda::prefill {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A barrier of all threads of the cluster.
template <int kCluster>
__device__ __forceinline__ void sync_blocks() {
  if constexpr (kCluster == 1) {
    __syncthreads();
  } else {
    hopper::sync_cluster();
  }
}

/// Says that a warp is done with a place that the copies of all blocks of the cluster fill, given
/// its barrier `empty`.
template <int kCluster>
__device__ __forceinline__ void release_place(uint32_t empty) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (kCluster == 1) {
    if (lane == 0) hopper::arrive(empty);
  } else {
    if (lane < kCluster) hopper::arrive_at_block(empty, lane);
  }
}

/// Asks for what will be added to the sums of `rows` rows and `tokens` tokens from the first of
/// `tile` on.
__device__ __forceinline__ void prefetch_extras(const ProductArgs& args, const Tile& tile, int rows,
                                                int tokens) {
  const ProductTask& task = args.tasks[tile.task];
  const float* extras = task.residual != nullptr ? task.residual : task.gate;
  rows = min(rows, task.rows - tile.row);
  if (extras == nullptr || !task.aligned || rows <= 0) return;
  const int end = min(tile.token + tokens, args.tokens);
  for (int token = tile.token + static_cast<int>(threadIdx.x) % 32; token < end; token += 32) {
    const float* from = extras + static_cast<int64_t>(token) * task.rows + tile.row;
    hopper::prefetch_to_l2(reinterpret_cast<const std::byte*>(from),
                           static_cast<uint32_t>(rows) * 4);
  }
}

#endif

}  // namespace neuros::kernels::cuda::prefill
