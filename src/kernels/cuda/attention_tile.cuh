#pragma once

/// Pieces of the attention kernels: tiles of keys and values in shared memory, and scores.

#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/attention_view.h"

#include <limits>

namespace neuros::kernels::cuda {

inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kNoScore = -std::numeric_limits<float>::infinity();
inline constexpr int kTileThreads = 128;
/// Positions that surely lie in one page, and where splits and tiles may start.
inline constexpr int kGranule = 16;

/// One KV head of one sequence.
struct HeadPages {
  const int32_t* pages;   ///< of the sequence
  const std::byte* keys;  ///< of the head in page 0
  int32_t first, end;     ///< positions to read; the others count as zeros
};

__device__ __forceinline__ HeadPages pages_of(const AttentionView& view, int sequence,
                                              int kv_head) {
  return {view.pages + view.page_start[sequence], view.layer + kv_head * view.head_bytes, 0, 0};
}

/// Positions [first, end) that a row sees.
__device__ __forceinline__ int32_t first_visible(const AttentionView& view, int32_t position) {
  return view.window > 0 ? max(0, position - view.window + 1) : 0;
}

/// Scores are kept times log2(e), so that their powers are powers of two: queries are multiplied
/// by query_scale(), and their products with keys go through finish_score().
__device__ __forceinline__ float query_scale(const AttentionView& view) {
  return view.soft_cap > 0.0f ? view.scale : view.scale * kLog2E;
}
__device__ __forceinline__ float finish_score(float product, float soft_cap) {
  if (soft_cap <= 0.0f) return product;
  // tanh(x) = 1 - 2 / (1 + e^(2 x)), to 1e-7.
  const float power = power_of_two(product * (2.0f * kLog2E / soft_cap));
  return soft_cap * kLog2E * (1.0f - __fdividef(2.0f, 1.0f + power));
}

/// Tiles of kPositions keys and values of T. Rows are padded by 16 bytes, an odd multiple of 16
/// then: the eight rows that one matrix load reads lie in different banks.
template <typename T, int kHeadDim, int kPositions>
struct Tile {
  static_assert(sizeof(T) == 2 && kHeadDim % 16 == 0 && kPositions % kGranule == 0);
  static constexpr int kKeyStride = kPositions + 8;  ///< keys: [kHeadDim, kKeyStride]
  static constexpr int kValueStride = kHeadDim + 8;  ///< values: [kPositions, kValueStride]
  static constexpr int kKeys = kHeadDim * kKeyStride;
  static constexpr int kValues = kPositions * kValueStride;
  static constexpr int kBytes = (kKeys + kValues) * 2;

  T* keys;
  T* values;

  __device__ explicit Tile(std::byte* at) : keys(reinterpret_cast<T*>(at)), values(keys + kKeys) {}

  /// Starts the copies of positions [start, start + kPositions), by kTileThreads whole warps.
  __device__ void load(const AttentionView& view, const HeadPages& from, int32_t start) const {
    static_assert(kPositions * kHeadDim / 8 % kTileThreads == 0);
    constexpr int kRounds = kPositions * kHeadDim / 8 / kTileThreads;
    const int thread = static_cast<int>(threadIdx.x);
    // Every lane finds the page of one granule; the others ask it.
    const int32_t granule = start + kGranule * (thread % (kPositions / kGranule));
    const bool exists = granule < from.end && granule + kGranule > from.first;
    const int32_t in_order = exists ? granule / view.page_tokens : 0;
    const int32_t place = exists ? granule - in_order * view.page_tokens : 0;
    const int64_t page = exists ? __ldg(from.pages + in_order) : 0;
    const std::byte* base = from.keys + page * view.page_bytes;
    const auto key_at = reinterpret_cast<unsigned long long>(base + 2 * place);
    const auto value_at =
        reinterpret_cast<unsigned long long>(base + view.values_bytes + 2 * place * kHeadDim);

    constexpr int kChunks = kPositions / 8;  // of a row of keys
    const int chunk = thread % kChunks;
    const int32_t position = start + 8 * chunk;
    const bool key_exists = position < from.end && position + 8 > from.first;
    const auto* key =
        reinterpret_cast<const std::byte*>(__shfl_sync(0xffffffffu, key_at, chunk * 8 / kGranule)) +
        16 * (chunk % 2);
#pragma unroll
    for (int round = 0; round < kRounds; ++round) {
      const int row = (thread + kTileThreads * round) / kChunks;
      copy_16(keys + row * kKeyStride + 8 * chunk,
              key_exists ? key + int64_t{2} * row * view.page_tokens : key, key_exists);
    }
#pragma unroll
    for (int round = 0; round < kRounds; ++round) {
      const int index = thread + kTileThreads * round;
      const int row = index / (kHeadDim / 8), column = 8 * (index % (kHeadDim / 8));
      const auto* value =
          reinterpret_cast<const std::byte*>(__shfl_sync(0xffffffffu, value_at, row / kGranule));
      const bool value_exists = start + row < from.end && start + row >= from.first;
      copy_16(values + row * kValueStride + column,
              value + 2 * ((row % kGranule) * kHeadDim + column), value_exists);
    }
  }

  /// This lane's rows of the 16 x 16 blocks at (dimension, position) of the keys, and at
  /// (position, dimension) of the values, for load_transposed().
  __device__ const T* key_block(int dimension, int position) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return keys + (dimension + lane % 16) * kKeyStride + position + 8 * (lane / 16);
  }
  __device__ const T* value_block(int position, int dimension) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    return values + (position + lane % 16) * kValueStride + dimension + 8 * (lane / 16);
  }
};

/// Over the four lanes of one row of a fragment.
__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
__device__ __forceinline__ float quad_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/// The running softmax of one row: the largest score so far and the sum of powers relative to it.
struct RunningSoftmax {
  float largest = kNoScore;
  float sum = 0.0f;
  float reference = 0.0f;  ///< what powers are relative to: `largest`, or 0 before any score

  /// Takes the largest score of a step; returns what former sums shrink by: 1 if it is no larger.
  __device__ float raise(float score) {
    const float former = largest;
    largest = fmaxf(largest, score);
    reference = largest == kNoScore ? 0.0f : largest;
    const float factor = power_of_two(former - reference);
    sum *= factor;
    return factor;
  }
};

/// Copies of a loop over tiles: `tiles` of them through `stages` (1 or 2) buffers in turn.
/// load(n) starts the copies of tile n, use(n) works on it.
template <typename Load, typename Use>
__device__ __forceinline__ void stream_tiles(int tiles, int stages, Load load, Use use) {
  int started = 0;
  for (; started < min(stages, tiles); ++started) {
    load(started);
    commit_copies();
  }
  for (int n = 0; n < tiles; ++n) {
    if (started - n > 1) {
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    use(n);
    __syncthreads();
    if (started < tiles) {
      load(started++);
      commit_copies();
    }
  }
}

}  // namespace neuros::kernels::cuda
