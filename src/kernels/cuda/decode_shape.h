#pragma once

/// The blocks of a decode kernel: how many warps, and what they need of shared memory. A launch
/// takes lean ones where the GPU does not have what the best need.

#include "kernels/cuda/activations.h"

#include <cstdint>

namespace neuros::kernels::cuda {

/// Of blocks that prepare activations with one thread for four columns of 2048.
inline constexpr int kBlockThreads = 512;
inline constexpr int kBlockWarps = kBlockThreads / kLanes;

/// Bytes that a warp keeps on their way. 16 warps of a multiprocessor then have 72 KB; 4.3 TB/s at
/// a latency of 0.8 us are 26 KB for each of 132 multiprocessors.
inline constexpr int kBytesOnTheirWay = 4480;

enum class Blocks : uint8_t {
  kLarge,
  kSmall,  ///< overlap the ends of their panels, and the end of a kernel and the start of the next
  kLean,   ///< for GPUs with little shared memory
};

struct BlockShape {
  int warps = kBlockWarps;
  int resident = 1;      ///< blocks of a multiprocessor that there are registers for
  int slots_max = 1024;  ///< of a warp's ring
};

constexpr BlockShape shape_of(Blocks blocks) {
  switch (blocks) {
    case Blocks::kLarge:
      return {};
    case Blocks::kSmall:
      return {.warps = kBlockWarps / 2, .resident = 2};
    case Blocks::kLean:
      return {.warps = kBlockWarps / 2, .resident = 2, .slots_max = 2};
  }
  return {};
}

/// Slots of a warp's ring. Copies that are not asynchronous need but one.
constexpr int ring_slots(Blocks blocks, int chunk_bytes, bool asynchronous) {
  if (!asynchronous) return 1;
  const int slots = 1 + (kBytesOnTheirWay + chunk_bytes - 1) / chunk_bytes;
  const int most = shape_of(blocks).slots_max;
  return slots < most ? slots : most;
}

/// Bytes of activations that a block prepares for itself; tiles have room for what is there.
struct OwnActivations {
  int64_t values = 0, scales = 0;
};
constexpr OwnActivations own_activations(ActivationKind kind, int tokens, int64_t columns) {
  if (kind != ActivationKind::kQ8) {
    const bool has_scales = kind == ActivationKind::kF16;
    return {.values = tokens * columns * 2, .scales = has_scales ? round_up(tokens * 4, 16) : 0};
  }
  const int64_t pairs = (tokens + 1) / 2 * (columns / kChunkColumns);
  return {.values = tokens * columns, .scales = pairs * kPairFloats * 4};
}

/// Shared memory of a block, in bytes: rings, sums of the warps, activations it prepares.
struct DecodeShared {
  static constexpr int kStatic = 1024;  ///< no more than this is used beside

  int ring_bytes, sums, values, scales, end;

  constexpr bool fits(int shared_bytes_max) const { return end + kStatic <= shared_bytes_max; }
};
/// `tiles`: of tokens, whose sums a block keeps.
constexpr DecodeShared decode_shared(Blocks blocks, int tiles, int chunk_bytes, bool asynchronous,
                                     OwnActivations own = {}) {
  DecodeShared shared{};
  shared.ring_bytes = ring_slots(blocks, chunk_bytes, asynchronous) * chunk_bytes;
  shared.sums = shape_of(blocks).warps * shared.ring_bytes;
  shared.values = shared.sums + kGroupsMax * tiles * 4 * kLanes * static_cast<int>(sizeof(float));
  shared.scales = shared.values + static_cast<int>(own.values);
  shared.end = shared.scales + static_cast<int>(own.scales);
  return shared;
}

/// Up to so many columns a row is narrow: its panels end often.
inline constexpr int kNarrowColumns = 8192;

/// The best ones where blocks prepare rows of so many columns. Quantised rows that are narrow go to
/// small blocks; 16-bit floats stream faster through large ones.
constexpr Blocks own_blocks(ActivationKind kind, int64_t columns) {
  const bool is_small = kind == ActivationKind::kQ8 && columns <= kNarrowColumns;
  return is_small ? Blocks::kSmall : Blocks::kLarge;
}

/// Bytes of a chunk of a panel, of types that matrix instructions multiply.
constexpr int chunk_bytes_of(base::DType dtype) {
  const FragmentFormat format = fragment_format(dtype);
  return format.block == 0 ? kHalfChunkBytes : format.chunk_bytes();
}

}  // namespace neuros::kernels::cuda
