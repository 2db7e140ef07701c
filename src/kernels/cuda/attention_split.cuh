#pragma once

/// Attention of one row, split along the keys: what a block does with one split, and how splits
/// come together. The kernels are in attention_decode.cu, where it is explained, and
/// step_kernel.cu.

#include "kernels/cuda/attention_tile.cuh"

namespace neuros::kernels::cuda {

inline constexpr int kSplitTile = 64;  ///< positions of a tile, 16 a warp
inline constexpr int kSplitWarps = 4;
inline constexpr int kBlockHeads = 8;
inline constexpr int kSplitsMax = 64;
/// Up to here a row has few splits: with some eight KV heads they occupy a GPU once.
inline constexpr int32_t kFewSplitsPositions = 2048;
inline constexpr int kFewSplits = 16;

/// Positions of a split where `visible` of them are cut, as a power of two: the fewest tiles,
/// doubled until kSplitsMax (kFewSplits) splits suffice.
__host__ __device__ constexpr int log_split_positions(int32_t visible) {
  const int most = visible <= kFewSplitsPositions ? kFewSplits : kSplitsMax;
  int log = 6;
  while (int64_t{most} << log < visible) ++log;
  return log;
}
static_assert(1 << log_split_positions(1) == kSplitTile);

/// What a sequence's only row sees, from a granule's start on, and its splits.
struct RowRange {
  int32_t first, begin, end;
  int32_t split;  ///< positions of one
  int32_t splits;

  RowRange() = default;
  __device__ RowRange(const AttentionView& view, int sequence) {
    const int32_t position = view.first_position[sequence];
    end = position + 1;
    first = first_visible(view, position);
    begin = first / kGranule * kGranule;
    const int log = log_split_positions(end - begin);
    split = 1 << log;
    splits = (end - begin + split - 1) >> log;
  }
};

/// Two pairs of a query's neighbouring elements, eight apart: what a lane gives to an operand.
struct QueryPairs {
  float2 of_half[2];
};
/// Where a lane's pairs begin for 16 dimensions from 16 `step` on: an element of [head][kHeadDim].
template <int kHeadDim>
__device__ __forceinline__ int first_of_pairs(int step) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  return g * kHeadDim + 16 * step + 2 * t;
}
/// A lane's operand of eight heads' queries.
template <typename T>
__device__ __forceinline__ FragmentA query_operand(const QueryPairs& pairs, float scale) {
  FragmentA out;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float2 pair = pairs.of_half[half];
    pack_in_two<T>(pair.x * scale, pair.y * scale, out.x[2 * half], out.x[2 * half + 1]);
  }
  return out;
}

/// Operands of all dimensions in shared memory, [step][lane]; registers are for sums.
struct SharedQueries {
  const uint4* of_lane;

  __device__ __forceinline__ FragmentA at(int step) const {
    const uint4 words = of_lane[step * 32];
    return {{words.x, words.y, words.z, words.w}};
  }
};
__device__ __forceinline__ uint4 as_words(const FragmentA& a) {
  return make_uint4(a.x[0], a.x[1], a.x[2], a.x[3]);
}

/// A warp's part of a block's work: eight heads over its 16 positions of each tile.
template <typename T, int kHeadDim>
struct DecodeWarp {
  static constexpr int kSteps = kHeadDim / 16;
  SharedQueries q;
  int lane;
  FragmentC out[2 * kSteps] = {};
  RunningSoftmax softmax;  ///< of head g

  __device__ explicit DecodeWarp(SharedQueries queries,
                                 int lane = static_cast<int>(threadIdx.x) % 32)
      : q(queries), lane(lane) {}

  /// 16 positions from `start` on, `column` of the tile; visible are [first, end).
  template <typename KvTile>
  __device__ void add(const KvTile& tile, int column, int32_t start, int32_t first, int32_t end,
                      float soft_cap) {
    FragmentC products[2] = {};
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const FragmentsB b = load_transposed(tile.key_block(16 * step, column, lane));
      const FragmentA queries = q.at(step);
      multiply(products[0], queries, b.x[0], b.x[1], T{});
      multiply(products[1], queries, b.x[2], b.x[3], T{});
    }
    const int t = lane % 4;
    float scores[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const FragmentC& from = products[i / 2];
      const int32_t position = start + 8 * (i / 2) + 2 * t + i % 2;
      const float score = finish_score(from.x[i % 2] + from.x[2 + i % 2], soft_cap);
      scores[i] = position >= first && position < end ? score : kNoScore;
    }
    weigh(tile, column, scores);
  }

  template <typename KvTile>
  __device__ void weigh(const KvTile& tile, int column, float (&scores)[4]) {
    const float highest = fmaxf(fmaxf(scores[0], scores[1]), fmaxf(scores[2], scores[3]));
    const float factor = softmax.raise(quad_max(highest));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[i] = power_of_two(scores[i] - softmax.reference);
      softmax.sum += scores[i];
    }
    FragmentA weights;
    pack_in_two<T>(scores[0], scores[1], weights.x[0], weights.x[1]);
    pack_in_two<T>(scores[2], scores[3], weights.x[2], weights.x[3]);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const FragmentsB b = load_transposed(tile.value_block(column, 16 * step, lane));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        FragmentC& sums = out[2 * step + half];
        for (float& sum : sums.x) sum *= factor;
        multiply(sums, weights, b.x[2 * half], b.x[2 * half + 1], T{});
      }
    }
  }
};

/// The block's warps, added in their order: sums [head][kHeadDim] and {largest, total}.
template <int kHeadDim>
struct WarpSums {
  float sums[kSplitWarps][kBlockHeads][kHeadDim];
  float2 largest_total[kSplitWarps][kBlockHeads];

  template <typename T>
  __device__ void put(const DecodeWarp<T, kHeadDim>& from) {
    const int warp = static_cast<int>(threadIdx.x) / 32, g = from.lane / 4, t = from.lane % 4;
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      const FragmentC& c = from.out[n];
      sums[warp][g][8 * n + 2 * t] = c.x[0] + c.x[2];
      sums[warp][g][8 * n + 2 * t + 1] = c.x[1] + c.x[3];
    }
    const float total = quad_sum(from.softmax.sum);
    if (t == 0) largest_total[warp][g] = {from.softmax.largest, total};
  }

  struct Head {
    float factors[kSplitWarps];
    float largest, total;
  };
  __device__ Head head(int h) const {
    Head out{{}, kNoScore, 0.0f};
    for (int w = 0; w < kSplitWarps; ++w) out.largest = fmaxf(out.largest, largest_total[w][h].x);
    for (int w = 0; w < kSplitWarps; ++w) {
      out.factors[w] = power_of_two(largest_total[w][h].x - out.largest);
      out.total += out.factors[w] * largest_total[w][h].y;
    }
    return out;
  }
  __device__ float sum(const Head& by, int h, int i) const {
    float total = 0.0f;
    for (int w = 0; w < kSplitWarps; ++w) total += by.factors[w] * sums[w][h][i];
    return total;
  }
};

/// One split of one KV head, for some of its query heads.
struct DecodeWork {
  int sequence, split;
  int kv_head;
  int first_head, heads;  ///< of all query heads
};

/// The largest score of all splits, from what they left.
__device__ __forceinline__ float largest_of(const float2* parts, int splits) {
  float largest = kNoScore;
  for (int s = 0; s < splits; ++s) largest = fmaxf(largest, parts[s].x);
  return largest;
}

}  // namespace neuros::kernels::cuda
