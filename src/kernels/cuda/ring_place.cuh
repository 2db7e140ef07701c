#pragma once

/// Rings of buffers in shared memory between a warp that fills them by bulk copies and warps that
/// use them.

#include "kernels/cuda/hopper.cuh"

#include <cstdint>

namespace neuros::kernels::cuda::hopper {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A place in a ring of kStages places of kBytes from kFirst on, whose barriers start at kBarriers.
/// `full` ends a phase when what was copied is there, `empty` when all who read it are done.
template <int kStages, int kBytes, int kFirst, int kBarriers>
class RingPlace {
 public:
  explicit __device__ __forceinline__ RingPlace(uint32_t shared) : shared_(shared) {}

  /// `readers`: warps that say that they are done. `writers`: the same of those that fill a place
  /// by other means than bulk copies.
  __device__ __forceinline__ static void init(uint32_t shared, uint32_t readers,
                                              uint32_t writers = 1) {
    RingPlace place(shared);
    for (int i = 0; i < kStages; ++i) {
      init_barrier(place.full(), writers);
      init_barrier(place.empty(), readers);
      place.advance();
    }
  }

  __device__ __forceinline__ uint32_t address() const { return shared_ + kFirst + index_ * kBytes; }
  __device__ __forceinline__ uint32_t full() const { return shared_ + kBarriers + index_ * 16; }
  __device__ __forceinline__ uint32_t empty() const { return full() + 8; }
  __device__ __forceinline__ void wait_full() const { wait(full(), phase_); }
  /// Passes at once on the first round: a fresh barrier counts as past its odd phase.
  __device__ __forceinline__ void wait_empty() const { wait(empty(), phase_ ^ 1); }

  __device__ __forceinline__ void advance() {
    if (++index_ < static_cast<uint32_t>(kStages)) return;
    index_ = 0;
    phase_ ^= 1;
  }
  __device__ __forceinline__ void skip(uint32_t places) {
    const uint32_t at = index_ + places;
    phase_ ^= at / uint32_t{kStages} % 2;
    index_ = at % uint32_t{kStages};
  }

 private:
  uint32_t shared_;
  uint32_t index_ = 0, phase_ = 0;
};

/// Says that this warp is done with a place, given its barrier `empty`; or has filled it: `full`.
__device__ __forceinline__ void release(uint32_t barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(barrier);
}

#endif

}  // namespace neuros::kernels::cuda::hopper
