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

/// A position's page, and its place there.
struct PagePlace {
  int64_t page;
  int32_t place;
};

/// One KV head of one sequence.
struct HeadPages {
  const int32_t* pages;   ///< of the sequence
  const std::byte* keys;  ///< of the head in page 0
  int32_t first, end;     ///< positions to read; the others count as zeros

  __device__ __forceinline__ PagePlace find(const AttentionView& view, int32_t position) const {
    const auto in_order =
        static_cast<int32_t>(__umulhi(static_cast<uint32_t>(position), view.page_inverse));
    return {pages[in_order], position - in_order * view.page_tokens};
  }
};

__device__ __forceinline__ HeadPages pages_of(const AttentionView& view, int sequence,
                                              int kv_head) {
  return {view.pages + view.page_start[sequence], view.layer + kv_head * view.head_bytes, 0, 0};
}

/// The first position that a row sees.
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

  /// Whether all positions of a tile are to be read.
  enum class Part { kWhole, kSome };

  T* keys;
  T* values;

  __device__ explicit Tile(std::byte* at) : keys(reinterpret_cast<T*>(at)), values(keys + kKeys) {}

  /// Starts the copies of positions [start, start + kPositions), by kThreads threads: whole warps,
  /// the first of them a multiple of kThreads. `thread`: where it is to be looked up anew, as in
  /// kernels that have no registers for what depends on it.
  template <int kThreads = kTileThreads>
  __device__ void load(const AttentionView& view, const HeadPages& from, int32_t start,
                       int thread = static_cast<int>(threadIdx.x)) const {
    const auto copy = [](T* to, const std::byte* at, bool exists, int /*unit*/) {
      copy_16(to, at, exists);
    };
    visit_keys<kThreads>(view, from, start, copy, thread);
    visit_values<kThreads>(view, from, start, copy, thread);
  }
  /// The same where all positions are to be read. All threads call from.find() side by side.
  template <int kThreads, typename Pages>
  __device__ void load_whole(const AttentionView& view, const Pages& from, int32_t start) const {
    const auto copy = [](T* to, const std::byte* at, bool /*exists*/, int /*unit*/) {
      copy_16(to, at, true);
    };
    visit_keys<kThreads, Part::kWhole>(view, from, start, copy);
    visit_values<kThreads, Part::kWhole>(view, from, start, copy);
  }
  /// Brings what load() would copy to the second-level cache.
  template <int kThreads = kTileThreads>
  __device__ void prefetch(const AttentionView& view, const HeadPages& from, int32_t start,
                           int thread = static_cast<int>(threadIdx.x)) const {
    const auto bring = [](T* /*to*/, const std::byte* at, bool exists, int /*unit*/) {
      if (exists && reinterpret_cast<uintptr_t>(at) % 128 == 0) prefetch_line(at);
    };
    visit_keys<kThreads>(view, from, start, bring, thread);
    visit_values<kThreads>(view, from, start, bring, thread);
  }

  /// Calls use(place in the tile, place in memory, whether it is there, how many came before) for
  /// 16 bytes at a time. Of keys a thread has 8 positions of every kRows-th dimension.
  template <int kThreads, Part kPart = Part::kSome, typename Pages, typename Use>
  __device__ void visit_keys(const AttentionView& view, const Pages& from, int32_t start, Use use,
                             int thread = static_cast<int>(threadIdx.x)) const {
    constexpr int kChunks = kPositions / 8, kRows = kThreads / kChunks;
    static_assert(kHeadDim % kRows == 0);
    const int row = thread % kThreads / kChunks, column = 8 * (thread % kChunks);
    const int32_t position = start + column;
    const bool exists = kPart == Part::kWhole || (position < from.end && position + 8 > from.first);
    const std::byte* key = from.keys;
    if (exists) key = place_of(view, from, position, view.page_tokens, row, 1);
    const int64_t step = exists ? int64_t{2} * kRows * view.page_tokens : 0;
    T* to = keys + row * kKeyStride + column;
#pragma unroll
    for (int round = 0; round < kHeadDim / kRows; ++round) {
      use(to + round * kRows * kKeyStride, key, exists, round);
      key += step;
    }
  }

  /// The same; of values a warp has granules, or part of one: runs of bytes.
  template <int kThreads, Part kPart = Part::kSome, typename Pages, typename Use>
  __device__ void visit_values(const AttentionView& view, const Pages& from, int32_t start, Use use,
                               int thread = static_cast<int>(threadIdx.x)) const {
    constexpr int kWarps = kThreads / 32, kGranules = kPositions / kGranule;
    constexpr int kParts = kWarps < kGranules ? 1 : kWarps / kGranules;
    constexpr int kRowChunks = kHeadDim / 8, kChunks = kGranule * kRowChunks / kParts;
    static_assert(kChunks % 32 == 0 && (kWarps % kGranules == 0 || kGranules % kWarps == 0));
    const int warp = thread / 32 % kWarps, lane = thread % 32;
    const int first_chunk = warp % kParts * kChunks + lane;
#pragma unroll
    for (int i = 0; i * kWarps < kGranules; ++i) {
      const int granule = kGranule * (warp / kParts + i * kWarps);
      const std::byte* value = from.keys;
      if (kPart == Part::kWhole ||
          (start + granule < from.end && start + granule + kGranule > from.first)) {
        value = place_of(view, from, start + granule, 1, 0, kHeadDim) + view.values_bytes;
      }
#pragma unroll
      for (int round = 0; round < kChunks / 32; ++round) {
        const int chunk = first_chunk + 32 * round;
        const int row = granule + chunk / kRowChunks;
        const bool exists = start + row < from.end && start + row >= from.first;
        use(values + row * kValueStride + 8 * (chunk % kRowChunks), value + 16 * chunk, exists,
            i * (kChunks / 32) + round);
      }
    }
  }

  /// Where element `row` of a position lies, in bytes, where rows and positions are so far apart.
  template <typename Pages>
  __device__ static const std::byte* place_of(const AttentionView& view, const Pages& from,
                                              int32_t position, int row_step, int row,
                                              int position_step) {
    const PagePlace at = from.find(view, position);
    return from.keys + at.page * view.page_bytes + 2 * (row * row_step + at.place * position_step);
  }

  /// This lane's rows of the 16 x 16 blocks at (dimension, position) of the keys, and at
  /// (position, dimension) of the values, for load_transposed().
  __device__ const T* key_block(int dimension, int position,
                                int lane = static_cast<int>(threadIdx.x) % 32) const {
    return keys + (dimension + lane % 16) * kKeyStride + position + 8 * (lane / 16);
  }
  __device__ const T* value_block(int position, int dimension,
                                  int lane = static_cast<int>(threadIdx.x) % 32) const {
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

/// `tiles` tiles through `stages` (1 or 2) buffers in turn: load(n) starts the copies of tile n,
/// use(n) works on it. The block calls start(), may do something else meanwhile, and finish().
template <typename Load>
struct TileStream {
  int tiles, stages;
  Load load;
  int started = 0;

  __device__ void start() {
    while (started < min(stages, tiles)) load_next();
  }
  template <typename Use>
  __device__ void finish(Use use) {
    finish(use, [] { __syncthreads(); });
  }
  /// With a barrier of those threads that take part.
  template <typename Use, typename Sync>
  __device__ void finish(Use use, Sync sync) {
    for (int n = 0; n < tiles; ++n) {
      if (started - n > 1) {
        wait_for_copies<1>();
      } else {
        wait_for_copies<0>();
      }
      sync();
      use(n);
      sync();
      if (started < tiles) load_next();
    }
  }
  __device__ void load_next() {
    load(started++);
    end_copy_group();
  }
};

}  // namespace neuros::kernels::cuda
