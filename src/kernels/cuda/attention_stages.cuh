#pragma once

/// Stages in shared memory between the warp of a decode attention block that feeds and the others.

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/attention_tile.cuh"

namespace neuros::kernels::cuda {

inline constexpr int kDecodeThreads = kTileThreads + 32;
inline constexpr int kDecodeStagesMax = 4;

/// One side's place among the stages: both sides go through them in turn. Where copies complete by
/// themselves they say so to those that multiply, whatever the warp that feeds is waiting for. On
/// Turing, whose copies do not, named barriers of the block do, for two stages at most.
class StagePlace {
 public:
  /// By all threads of the block. `fills`: arrivals that make a stage full, of fill() or others.
  __device__ __forceinline__ StagePlace(int stages, uint32_t fills) : stages_(stages) {
#if __CUDA_ARCH__ >= 800
    __shared__ uint64_t barriers[2 * kDecodeStagesMax];
    barriers_ = static_cast<uint32_t>(__cvta_generic_to_shared(barriers));
    if (threadIdx.x < kDecodeStagesMax) {
      const uint32_t full = barriers_ + 16 * threadIdx.x;
      init_copy_barrier(full, fills);
      init_copy_barrier(full + 8, kTileThreads / 32);
      publish_copy_barriers();
    }
    __syncthreads();
#endif
  }

  __device__ __forceinline__ int stage() const {
    return stage_;
  }
  __device__ __forceinline__ void advance() {
    if (++stage_ < stages_) return;
    stage_ = 0;
    phase_ ^= 1;
    is_first_round_ = false;
  }

  // By the warp that feeds.
  __device__ __forceinline__ void wait_empty() const {
    if (is_first_round_) return;
#if __CUDA_ARCH__ >= 800
    wait_for_copy_barrier(full() + 8, phase_ ^ 1);
#else
    sync<kEmpty>();
#endif
  }
  /// The stage is full once the copies that all lanes have started are done; what they wrote is
  /// there then, too.
  static constexpr uint32_t kFills = 33;
  __device__ __forceinline__ void fill() const {
#if __CUDA_ARCH__ >= 800
    publish();
    arrive_after_copies(full());
#else
    pass<kFull>();
#endif
  }
  /// The same without copies, which would arrive at once.
  __device__ __forceinline__ void fill_without_copies() const {
#if __CUDA_ARCH__ >= 800
    publish();
    arrive_at_copy_barrier(full());
#else
    pass<kFull>();
#endif
  }

  // By the others.
  __device__ __forceinline__ void wait_full() const {
#if __CUDA_ARCH__ >= 800
    wait_for_copy_barrier(full(), phase_);
#else
    sync<kFull>();
#endif
  }
  /// This warp is done with the stage.
  __device__ __forceinline__ void empty() const {
#if __CUDA_ARCH__ >= 800
    __syncwarp();
    if (threadIdx.x % 32 == 0) arrive_at_copy_barrier(full() + 8);
#else
    pass<kEmpty>();
#endif
  }
  /// Among themselves.
  static __device__ __forceinline__ void meet() {
    asm volatile("bar.sync %0, %1;" ::"n"(kMultiplying), "n"(kTileThreads) : "memory");
  }

#if __CUDA_ARCH__ >= 800
  __device__ __forceinline__ uint32_t full() const {
    return barriers_ + 16 * static_cast<uint32_t>(stage_);
  }
#endif

 private:
#if __CUDA_ARCH__ >= 800
  /// What all lanes wrote: one of the arrivals of a stage.
  __device__ __forceinline__ void publish() const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) arrive_at_copy_barrier(full());
  }
#endif
  // Named barriers; of the last two one for each of two stages.
  static constexpr int kMultiplying = 1, kFull = 2, kEmpty = 4;

  template <int kBarrier>
  __device__ __forceinline__ void sync() const {
    if (stage_ == 0) {
      asm volatile("bar.sync %0, %1;" ::"n"(kBarrier), "n"(kDecodeThreads) : "memory");
    } else {
      asm volatile("bar.sync %0, %1;" ::"n"(kBarrier + 1), "n"(kDecodeThreads) : "memory");
    }
  }
  /// Counts as part of a sync() without waiting.
  template <int kBarrier>
  __device__ __forceinline__ void pass() const {
    if (stage_ == 0) {
      asm volatile("bar.arrive %0, %1;" ::"n"(kBarrier), "n"(kDecodeThreads) : "memory");
    } else {
      asm volatile("bar.arrive %0, %1;" ::"n"(kBarrier + 1), "n"(kDecodeThreads) : "memory");
    }
  }

  const int stages_;
  uint32_t barriers_ = 0;  ///< full and empty of each stage
  int stage_ = 0, phase_ = 0;
  bool is_first_round_ = true;
};

}  // namespace neuros::kernels::cuda
