#pragma once

/// What the blocks of decode attention (attention_decode.cu) leave: the sums of splits, and rows.

#include "kernels/cuda/attention_split.cuh"
#include "kernels/cuda/store_pieces.cuh"

namespace neuros::kernels::cuda {

struct DecodePlan {
  int32_t sequences = 1;
  int32_t splits = 1;       ///< the most that a row has
  int32_t head_blocks = 1;  ///< of a KV head
  int32_t stages = 1;
  float* sums = nullptr;            ///< [sequences, heads, splits, head_dim]
  float2* largest_total = nullptr;  ///< [sequences, heads, splits]: score, sum of powers
  uint32_t* meetings = nullptr;     ///< [sequences, KV heads, head_blocks]: zeros before and after
  uint32_t* units_taken = nullptr;  ///< of those not dealt out (UnitWalk): zero before and after
  /// Rows go here where they are to be in pieces, for a product of activations of `kind`: kQ8 or
  /// kBF16. Else to AttentionView::out.
  PreparedActivations pieces;
  ActivationKind kind = ActivationKind::kBF16;

  /// Of what a head's splits leave.
  __device__ __forceinline__ int64_t first_split(const AttentionView& view, int sequence,
                                                 int head) const {
    return (int64_t{sequence} * view.heads + head) * splits;
  }
};

/// Columns a lane has of a head, of every 128.
inline constexpr int kLaneColumns = 4;

/// Stores columns column .. + 3 of a head's result; none where the head has no such columns. All
/// lanes of a warp call it.
template <int kHeadDim>
__device__ __forceinline__ void store_result(const AttentionView& view, const DecodePlan& plan,
                                             int token, int head, int column, const Four& values) {
  if (plan.pieces.piece_bytes == 0) {
    if (column >= kHeadDim) return;
    float* const to = view.out + (int64_t{token} * view.heads + head) * kHeadDim + column;
#pragma unroll
    for (int i = 0; i < kLaneColumns; ++i) to[i] = values.at[i];
    return;
  }
  const int all = view.heads * kHeadDim;
  const int at = column < kHeadDim ? head * kHeadDim + column : all;
  if (plan.kind == ActivationKind::kBF16) {
    store_in_pieces<ActivationKind::kBF16>(plan.pieces, token, at, all, values);
  } else {
    store_in_pieces<ActivationKind::kQ8>(plan.pieces, token, at, all, values);
  }
}

/// A row's query heads that a block works on.
struct RowHeads {
  int32_t sequence = 0, token = 0;
  int32_t first_head = 0, heads = 0;
};

/// Leaves a split's sums, or the row itself where it has no other; a warp a head.
template <int kHeadDim>
__device__ __forceinline__ void leave(const AttentionView& view, const DecodePlan& plan,
                                      const RowHeads& work, int split, int splits,
                                      const WarpSums<kHeadDim>& warps) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int h = warp; h < work.heads; h += kSplitWarps) {
    const auto by = warps.head(h);
    const int head = work.first_head + h;
    const int64_t at = plan.first_split(view, work.sequence, head) + split;
#pragma unroll
    for (int first = 0; first < kHeadDim; first += 32 * kLaneColumns) {
      const int column = first + kLaneColumns * lane;
      Four sum{};
      if (column < kHeadDim) {
#pragma unroll
        for (int i = 0; i < kLaneColumns; ++i) sum.at[i] = warps.sum(by, h, column + i);
      }
      if (splits == 1) {
#pragma unroll
        for (float& value : sum.at) value = __fdiv_rn(value, by.total);
        store_result<kHeadDim>(view, plan, work.token, head, column, sum);
      } else if (column < kHeadDim) {
        *reinterpret_cast<float4*>(plan.sums + at * kHeadDim + column) =
            make_float4(sum.at[0], sum.at[1], sum.at[2], sum.at[3]);
      }
    }
    if (splits > 1 && lane == 0) plan.largest_total[at] = {by.largest, by.total};
  }
}

/// What the splits of a head are multiplied by, 32 and 32 in the lanes of a warp.
class SplitFactors {
 public:
  __device__ __forceinline__ SplitFactors(const float2* largest_total, int splits) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float2 parts[kHalves];
    float largest = kNoScore;
#pragma unroll
    for (int i = 0; i < kHalves; ++i) {
      const int split = lane + 32 * i;
      parts[i] = split < splits ? __ldcg(largest_total + split) : make_float2(kNoScore, 0.0f);
      largest = fmaxf(largest, parts[i].x);
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(kAll, largest, distance));
    }
#pragma unroll
    for (int i = 0; i < kHalves; ++i) {
      factors_[i] = power_of_two(parts[i].x - largest);
      totals_[i] = parts[i].y;
    }
  }
  // By all lanes.
  __device__ __forceinline__ float factor(int split) const {
    return of(factors_, split);
  }
  __device__ __forceinline__ float total(int split) const {
    return of(totals_, split);
  }

 private:
  static constexpr int kHalves = kSplitsMax / 32;
  static constexpr uint32_t kAll = 0xffffffffu;

  static __device__ __forceinline__ float of(const float (&values)[kHalves], int split) {
    static_assert(kHalves == 2);
    return __shfl_sync(kAll, split < 32 ? values[0] : values[1], split % 32);
  }

  float factors_[kHalves], totals_[kHalves];
};

/// Adds up the splits of a block's heads, in their order; a warp a head. What other blocks wrote is
/// read past the first-level cache.
template <int kHeadDim>
__device__ __forceinline__ void merge(const AttentionView& view, const DecodePlan& plan,
                                      const RowHeads& work, int splits) {
  constexpr int kAtOnce = 8;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int h = warp; h < work.heads; h += kSplitWarps) {
    const int64_t at = plan.first_split(view, work.sequence, work.first_head + h);
    const SplitFactors of(plan.largest_total + at, splits);
    float total = 0.0f;
    for (int s = 0; s < splits; ++s) total = __fmaf_rn(of.factor(s), of.total(s), total);
#pragma unroll 1
    for (int first = 0; first < kHeadDim; first += 32 * kLaneColumns) {
      const int column = first + kLaneColumns * lane;
      const auto* sums = reinterpret_cast<const float4*>(plan.sums + at * kHeadDim) + column / 4;
      Four sum{};
      for (int done = 0; done < splits; done += kAtOnce) {
        float4 x[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          x[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
          if (done + i < splits && column < kHeadDim)
            x[i] = __ldcg(sums + (done + i) * kHeadDim / 4);
        }
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          if (done + i >= splits) break;
          const float factor = of.factor(done + i);
          sum.at[0] = __fmaf_rn(factor, x[i].x, sum.at[0]);
          sum.at[1] = __fmaf_rn(factor, x[i].y, sum.at[1]);
          sum.at[2] = __fmaf_rn(factor, x[i].z, sum.at[2]);
          sum.at[3] = __fmaf_rn(factor, x[i].w, sum.at[3]);
        }
      }
#pragma unroll
      for (float& value : sum.at) value = __fdiv_rn(value, total);
      store_result<kHeadDim>(view, plan, work.token, work.first_head + h, column, sum);
    }
  }
}

}  // namespace neuros::kernels::cuda
