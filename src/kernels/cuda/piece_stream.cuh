#pragma once

/// A stream of pieces of activations (activation_pieces.h) through shared memory: the same pieces
/// for every tile of rows. Several warps read each; one of them has them copied. Where there is
/// room for all, they are copied once and stay.

#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/hopper.cuh"

namespace neuros::kernels::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Where a stream is, of this block.
struct StreamPlace {
  const std::byte* from;  ///< its first piece, in device memory
  std::byte* slots;       ///< room for `slot_count` pieces
  uint32_t barriers;      ///< of each slot: full, then of each: empty
  int slot_count;
  int piece_bytes;
  int pieces;  ///< of a tile
  int tiles;   ///< that the block goes through
};

class PieceStream {
 public:
  /// copies: whether this warp has the pieces copied.
  __device__ PieceStream(const StreamPlace& place, bool copies)
      : place_(place),
        stays_(place.pieces <= place.slot_count),
        slots_(min(place.pieces, place.slot_count)),
        left_(copies ? place.pieces * (stays_ ? 1 : place.tiles) : 0) {}

  /// By one thread, before a barrier of the block. `readers`: warps that read the stream.
  static __device__ void init(const StreamPlace& place, uint32_t readers) {
    for (int slot = 0; slot < place.slot_count; ++slot) {
      hopper::init_barrier(full(place, slot), 1);
      hopper::init_barrier(empty(place, slot), readers);
    }
  }

  /// Starts the first copies.
  __device__ void start() {
    for (int slot = 0; slot < slots_; ++slot) copy_to(slot);
  }

  /// The next piece, valid until release(). All lanes of a warp call both.
  __device__ __forceinline__ const std::byte* take() {
    hopper::wait(full(place_, slot_), parity_);
    return place_.slots + slot_ * place_.piece_bytes;
  }
  __device__ __forceinline__ void release() {
    if (!stays_) {
      __syncwarp();
      if (threadIdx.x % kLanes == 0) hopper::arrive(empty(place_, slot_));
      if (left_ > 0) refill_behind();
    }
    if (++slot_ == slots_) {
      slot_ = 0;
      if (!stays_) parity_ ^= 1;
    }
  }

 private:
  static __device__ uint32_t full(const StreamPlace& place, int slot) {
    return place.barriers + static_cast<uint32_t>(slot) * 8;
  }
  static __device__ uint32_t empty(const StreamPlace& place, int slot) {
    return full(place, place.slot_count + slot);
  }

  /// Refills the slot of half a round ago, which the other warps have left by now, or nearly.
  __device__ __forceinline__ void refill_behind() {
    const int lag = slots_ / 2;
    if (released_ < lag) {
      ++released_;
      return;
    }
    const bool wraps = slot_ < lag;
    const int behind = wraps ? slot_ - lag + slots_ : slot_ - lag;
    hopper::wait(empty(place_, behind), wraps ? parity_ ^ 1 : parity_);
    copy_to(behind);
  }

  __device__ void copy_to(int slot) {
    if (left_ == 0) return;
    --left_;
    if (threadIdx.x % kLanes == 0) {
      const auto bytes = static_cast<uint32_t>(place_.piece_bytes);
      hopper::arrive_and_expect(full(place_, slot), bytes);
      hopper::bulk_copy(hopper::shared_address(place_.slots + slot * place_.piece_bytes),
                        place_.from + static_cast<int64_t>(next_) * place_.piece_bytes, bytes,
                        full(place_, slot));
    }
    next_ = next_ + 1 == place_.pieces ? 0 : next_ + 1;
  }

  StreamPlace place_;
  bool stays_;
  int slots_;         ///< in use: two at least, if pieces do not stay
  int released_ = 0;  ///< pieces, up to those that are not yet refilled behind
  int left_;          ///< pieces to copy yet
  int next_ = 0;
  int slot_ = 0;
  uint32_t parity_ = 0;
};

#endif

}  // namespace neuros::kernels::cuda
