#pragma once

/// What a warp of decode_many.cuh does with the weights of one chunk: one class for 16-bit floats
/// and one for quantised types; the kernel takes either. A class says how the kernel is cut for it,
/// and keeps the sums of a tile.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/many_plan.h"

namespace neuros::kernels::cuda {

/// 16-bit floats: a warp's sums of two panels and one group.
template <ActivationKind kKind>
class ManyHalves {
 public:
  using Chunk = HalfChunk<kKind>;
  static constexpr int kUnitBytes = 2 * kHalfStepRowsBytes;  ///< a step of a panel, in the ring
  static constexpr int kUnits = Chunk::kSteps;               ///< of a chunk
  static constexpr int kRingSlots = 4;
  static constexpr ManyShape kShape{.warps = 16,
                                    .streams = 4,
                                    .warp_panels = 2,
                                    .equal_panels = kEqualPanelsOfHalves,
                                    .ring_bytes = kRingSlots * 2 * kUnitBytes,
                                    .chunk_pieces = 1};

  /// Units of a row of padded columns.
  static __device__ int unit_count(int columns) { return columns / kHalfStepColumns; }
  /// Where a unit begins in its panel, and where byte `at` of a unit lies from there: the chunk has
  /// eight rows of all its steps before the other eight.
  static __device__ int64_t unit_offset(int unit) {
    return int64_t{unit / kUnits} * kHalfChunkBytes + unit % kUnits * kHalfStepRowsBytes;
  }
  static __device__ int offset_in_unit(int at) {
    return at / kHalfStepRowsBytes * kHalfRowsBytes + at % kHalfStepRowsBytes;
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < 2 * kManyTiles * 4; ++i) acc_[i / 4 % 2][i / 8][i % 4] = 0.0f;
  }
  template <typename Ring, typename Stream, typename Count>
  __device__ __forceinline__ void multiply(Ring& ring, Stream& stream, int units, Count tiles) {
    const std::byte* piece = stream.take();
#pragma unroll 1
    for (int step = 0; step < units; ++step) {
      multiply_step(ring.take(), piece, tiles);
      piece += half_step_bytes(tiles);
    }
    stream.release();
  }
  __device__ __forceinline__ void end_group() {}
  __device__ __forceinline__ float sum(int panel, int tile, int i) const {
    return acc_[panel][tile][i];
  }

 private:
  template <typename Count>
  __device__ __forceinline__ void multiply_step(const std::byte* weights, const std::byte* piece,
                                                Count tiles) {
    const int lane = threadIdx.x % kLanes;
    const uint4 a[2]{half_operand(weights, kHalfStepRowsBytes, lane),
                     half_operand(weights + kUnitBytes, kHalfStepRowsBytes, lane)};
#pragma unroll
    for (int pair = 0; pair < kManyTiles / 2; ++pair) {
      if (2 * pair >= tiles) break;
      const uint4 b = reinterpret_cast<const uint4*>(piece)[pair * kLanes + lane];
#pragma unroll
      for (int panel = 0; panel < 2; ++panel) {
        Chunk::multiply_step(acc_[panel][2 * pair], a[panel], make_uint2(b.x, b.y));
        Chunk::multiply_step(acc_[panel][2 * pair + 1], a[panel], make_uint2(b.z, b.w));
      }
    }
  }

  float acc_[2][kManyTiles][4];
};

/// Quantised types: a warp's sums of one panel and, so far, its quarter.
template <FragmentFormat kFormat>
class ManyBlocks {
 public:
  using Chunk = BlockChunk<kFormat>;
  static constexpr int kUnitBytes = Chunk::kBytes;
  static constexpr int kUnits = 1;
  static constexpr int kRingSlots = 10240 / kUnitBytes;
  static_assert(kRingSlots > 1);
  static constexpr ManyShape kShape{.warps = 8,
                                    .streams = 1,
                                    .warp_panels = 1,
                                    .equal_panels = kEqualPanelsOfBlocks,
                                    .ring_bytes = kRingSlots * kUnitBytes,
                                    .chunk_pieces = Chunk::kParts};

  static __device__ int unit_count(int columns) {
    return (columns + Chunk::kColumns - 1) / Chunk::kColumns;
  }
  static __device__ int64_t unit_offset(int unit) { return int64_t{unit} * kUnitBytes; }
  static __device__ int offset_in_unit(int at) { return at; }

  __device__ __forceinline__ void clear() {
    clear_group();
#pragma unroll
    for (int i = 0; i < kManyTiles * 4; ++i) sums_[i / 4][i % 4] = 0.0f;
  }
  template <typename Ring, typename Stream, typename Count>
  __device__ __forceinline__ void multiply(Ring& ring, Stream& stream, int /*units*/, Count tiles) {
    const std::byte* weights = ring.take();
#pragma unroll 1
    for (int part = 0; part < Chunk::kParts; ++part) {
      const std::byte* piece = stream.take();
      const auto read = [&](int tile) { return Chunk::read_piece(piece, tile); };
      Chunk::multiply_part(weights, part, tiles, read, acc_);
      stream.release();
    }
  }
  __device__ __forceinline__ void end_group() {
#pragma unroll
    for (int i = 0; i < kManyTiles * 4; ++i) {
      float& sum = sums_[i / 4][i % 4];
      sum = __fadd_rn(sum, sum_of_partials(acc_[i / 4], i % 4));
    }
    clear_group();
  }
  __device__ __forceinline__ float sum(int /*panel*/, int tile, int i) const {
    return sums_[tile][i];
  }

 private:
  __device__ __forceinline__ void clear_group() {
#pragma unroll
    for (int i = 0; i < kManyTiles * Chunk::kPartials * 4; ++i) {
      acc_[i / (4 * Chunk::kPartials)][i / 4 % Chunk::kPartials][i % 4] = 0.0f;
    }
  }

  float acc_[kManyTiles][Chunk::kPartials][4];
  float sums_[kManyTiles][4];
};

}  // namespace neuros::kernels::cuda
