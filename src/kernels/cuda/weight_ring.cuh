#pragma once

/// A warp's own ring of chunks in shared memory. The warp copies chunks into it long before it
/// needs them, so that enough bytes are on their way from memory all the time, whatever the
/// registers hold; no other warp takes part, so that none waits for another.

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/fragment_layout.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda {

/// `Walk` gives the chunks in order: chunk() returns where one lies, or null where there is none,
/// with its bytes; advance() goes on to the next one.
template <int kChunkBytes, typename Walk, int kSlots>
class WeightRing {
 public:
  __device__ WeightRing(std::byte* slots, Walk walk) : slots_(slots), walk_(walk) {}

  /// Starts the copies of the first chunks.
  __device__ void fill() {
#pragma unroll
    for (int slot = 0; slot + 1 < kSlots; ++slot) copy_to(slot);
  }

  /// The next chunk; valid until the call after it. All lanes of the warp call it.
  __device__ const std::byte* take() {
    if constexpr (kSlots == 1) {
      __syncwarp();
      copy_to(0);
      __syncwarp();
      return slots_;
    } else {
      wait_for_copies<kSlots - 2>();
      __syncwarp();  // every lane's part has arrived, and every lane is done with the chunk before
      copy_to(next_ == 0 ? kSlots - 1 : next_ - 1);
      const std::byte* chunk = slots_ + next_ * kChunkBytes;
      next_ = next_ + 1 == kSlots ? 0 : next_ + 1;
      return chunk;
    }
  }

 private:
  __device__ void copy_to(int slot) {
    int bytes = kChunkBytes;
    const std::byte* from = walk_.chunk(bytes);
    if (from != nullptr) copy(slots_ + slot * kChunkBytes, from, bytes);
    walk_.advance();
    end_copy_group();
  }

  static __device__ void copy(std::byte* to, const std::byte* from, int bytes) {
#pragma unroll
    for (int start = 0; start < kChunkBytes; start += kLanes * 16) {
      const int at = start + static_cast<int>(threadIdx.x) % kLanes * 16;
      if (at < bytes) start_copy(to + at, from + at);
    }
  }

  std::byte* slots_;
  Walk walk_;
  int next_ = 0;
};

}  // namespace neuros::kernels::cuda
