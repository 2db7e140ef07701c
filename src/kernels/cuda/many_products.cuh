#pragma once

/// What a warp of decode_many.cuh does with the weights of one chunk, and the sums that it keeps of
/// a tile.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/many_plan.h"

namespace neuros::kernels::cuda {

/// A warp's sums of one panel and, so far, its quarter.
template <FragmentFormat kFormat>
class ManyBlocks {
 public:
  using Chunk = BlockChunk<kFormat>;
  static constexpr int kRingSlots = 10240 / Chunk::kBytes;
  static_assert(kRingSlots > 1);
  static constexpr ManyShape kShape{.ring_bytes = kRingSlots * Chunk::kBytes,
                                    .chunk_pieces = Chunk::kParts};

  __device__ __forceinline__ void clear() {
    clear_group();
#pragma unroll
    for (int i = 0; i < kManyTiles * 4; ++i) sums_[i / 4][i % 4] = 0.0f;
  }
  template <typename Ring, typename Stream, typename Count>
  __device__ __forceinline__ void multiply(Ring& ring, Stream& stream, Count tiles) {
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
  __device__ __forceinline__ float sum(int tile, int i) const {
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
