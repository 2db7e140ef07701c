#pragma once

/// Stages in shared memory between the warp of a decode attention block that feeds and the others.

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/attention_tile.cuh"

namespace neuros::kernels::cuda {

inline constexpr int kDecodeThreads = kTileThreads + 32;

/// Stages of tiles between the warp that feeds and those that multiply. Where copies complete by
/// themselves they say so to those that multiply, whatever the warp that feeds is waiting for.
class StageBarriers {
 public:
  /// By all threads of the block.
  __device__ __forceinline__ explicit StageBarriers(int stages) : stages_(stages) {
#if __CUDA_ARCH__ >= 800
    __shared__ uint64_t full[2];
    full_ = static_cast<uint32_t>(__cvta_generic_to_shared(full));
    if (threadIdx.x < 2) init_copy_barrier(full_ + 8 * threadIdx.x, 32);
    __syncthreads();
#endif
  }
  __device__ __forceinline__ int stage(int tile) const {
    return tile & (stages_ - 1);
  }

  // By the warp that feeds.
  __device__ __forceinline__ void wait_empty(int tile) const {
    if (tile < stages_) return;
    if (stage(tile) == 0) {
      sync<kEmpty, kDecodeThreads>();
    } else {
      sync<kEmpty + 1, kDecodeThreads>();
    }
  }
  __device__ __forceinline__ void fill(int tile) const {
#if __CUDA_ARCH__ >= 800
    arrive_after_copies(full_ + 8 * static_cast<uint32_t>(stage(tile)));
#else
    pass<kFull>(tile);
#endif
  }

  // By the others.
  __device__ __forceinline__ void wait_full(int tile) const {
#if __CUDA_ARCH__ >= 800
    wait_for_copy_barrier(full_ + 8 * static_cast<uint32_t>(stage(tile)),
                          tile >> (stages_ - 1) & 1);
#else
    if (stage(tile) == 0) {
      sync<kFull, kDecodeThreads>();
    } else {
      sync<kFull + 1, kDecodeThreads>();
    }
#endif
  }
  __device__ __forceinline__ void empty(int tile) const {
    pass<kEmpty>(tile);
  }
  /// Among themselves.
  static __device__ __forceinline__ void meet() {
    sync<kMultiplying, kTileThreads>();
  }

 private:
  enum Barrier : int { kMultiplying = 1, kFull = 2, kEmpty = 4 };  ///< two stages each

  template <int kBarrier, int kThreads>
  static __device__ __forceinline__ void sync() {
    asm volatile("bar.sync %0, %1;" ::"n"(kBarrier), "n"(kThreads) : "memory");
  }
  /// Counts as part of a sync() without waiting.
  template <int kBarrier>
  __device__ __forceinline__ void pass(int tile) const {
    if (stage(tile) == 0) {
      asm volatile("bar.arrive %0, %1;" ::"n"(kBarrier), "n"(kDecodeThreads) : "memory");
    } else {
      asm volatile("bar.arrive %0, %1;" ::"n"(kBarrier + 1), "n"(kDecodeThreads) : "memory");
    }
  }

  const int stages_;  ///< 1 or 2
  uint32_t full_ = 0;
};

}  // namespace neuros::kernels::cuda
