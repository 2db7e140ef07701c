/// Encoder attention for what the kernel with tensor cores does not do: other head sizes, strides
/// that the copy engine cannot take, cards before Hopper. A warp takes a query and walks its item's
/// keys 32 at a time, one a lane for the scores; the four warps of a block have neighbouring
/// queries of one head, so that they find its keys and values in a cache.

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/encoder_attention_view.h"
#include "kernels/cuda/launch.cuh"

#include <cuda_fp16.h>

namespace neuros::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kPerLane = kEncoderHeadDimMax / 32;

/// Past the first-level cache where kernels may start before the ones that wrote this have ended.
__device__ __forceinline__ float read(const uint16_t* at) {
#if __CUDA_ARCH__ >= 900
  return __half2float(__ushort_as_half(__ldcg(at)));
#else
  return __half2float(__ushort_as_half(*at));
#endif
}

__device__ __forceinline__ float warp_max(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

/// A warp's query. Lane l sums dimensions l, l + 32, ...
struct PlainQuery {
  const EncoderView& view;
  const float* q;  ///< shared, [head_dim], times the scale
  const uint16_t* keys;
  const uint16_t* values;  ///< both of the head, at the item's first row
  float out[kPerLane] = {};
  RunningSoftmax softmax{};

  __device__ float score(int32_t key) const {
    const uint16_t* from = keys + key * view.k_stride;
    float sum = 0.0f;
    for (int i = 0; i < view.head_dim; ++i) sum += q[i] * read(from + i);
    return sum;
  }

  /// Keys [start, start + 32) below `rows`.
  __device__ void add(int32_t start, int32_t rows) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float own = start + lane < rows ? score(start + lane) : kNoScore;
    const float factor = softmax.raise(warp_max(own));
    const float weight = power_of_two(own - softmax.reference);
    softmax.sum += weight;
    for (float& sum : out) sum *= factor;
    for (int from = 0; from < min(32, rows - start); ++from) {
      const float w = __shfl_sync(0xffffffffu, weight, from);
      const uint16_t* value = values + (start + from) * view.v_stride;
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        if (lane + 32 * j < view.head_dim) out[j] += w * read(value + lane + 32 * j);
      }
    }
  }

  __device__ void store(uint16_t* to) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float sum = warp_sum(softmax.sum);
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      if (lane + 32 * j < view.head_dim) {
        to[lane + 32 * j] = __half_as_ushort(__float2half_rn(out[j] / sum));
      }
    }
  }
};

__global__ void __launch_bounds__(32 * kWarps)
    encoder_plain_kernel(const __grid_constant__ EncoderView view) {
  __shared__ float queries[kWarps][kEncoderHeadDimMax];
  let_next_start();
  wait_for_previous();
  const EncoderTile tile = EncoderTile::find(view, static_cast<int32_t>(blockIdx.x), kWarps);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int32_t query = tile.first + warp;
  if (query >= tile.item_rows) return;
  const int64_t column = int64_t{tile.head} * view.head_dim, first = tile.item_row;
  const uint16_t* q = view.q + (first + query) * view.q_stride + column;
  for (int i = lane; i < view.head_dim; i += 32) queries[warp][i] = read(q + i) * view.scale;
  __syncwarp();
  PlainQuery sums{view, queries[warp], view.k + first * view.k_stride + column,
                  view.v + first * view.v_stride + column};
  for (int32_t start = 0; start < tile.item_rows; start += 32) sums.add(start, tile.item_rows);
  sums.store(view.out + (first + query) * view.out_stride + column);
}

}  // namespace

void encoder_attention_plain(const OpContext& context, const EncoderView& view) {
  launch(context,
         {.grid = dim3(static_cast<unsigned>(EncoderTile::count(view, kWarps))),
          .block = dim3(32 * kWarps)},
         encoder_plain_kernel, view);
}

}  // namespace neuros::kernels::cuda
