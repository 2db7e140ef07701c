/// Attention for what the kernels with tensor cores do not do: keys and values in f32, unusual head
/// sizes, bf16 on cards before Ampere. A block takes one query; its warps take the tiles of 32
/// positions from position 0 on in turn, each with its own sums, which are added in their order.

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/number.cuh"

namespace neuros::kernels::cuda {
namespace {

constexpr int kHeadDimMax = 256;
constexpr int kWarps = 8;
constexpr int kPerLane = kHeadDimMax / 32;

/// One query head at one position; [first, end) are visible.
struct PlainQuery {
  HeadPages pages;
  const float* q;  ///< shared, [head_dim], scaled
};

/// A warp's sums so far; lane l has elements l, l + 32, ...
struct PlainSums {
  float out[kPerLane] = {};
  RunningSoftmax softmax;  ///< `sum` of this lane's positions
};

__device__ float warp_max(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

/// Positions [start, start + 32), one a lane for the scores.
template <typename T>
__device__ void add_tile(const AttentionView& view, const PlainQuery& query, int32_t start,
                         PlainSums& sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int32_t position = start + lane;
  const bool visible = position >= query.pages.first && position < query.pages.end;
  const int32_t in_order = visible ? position / view.page_tokens : 0;
  const int32_t place = visible ? position - in_order * view.page_tokens : 0;
  const int64_t page = visible ? query.pages.pages[in_order] : 0;
  const std::byte* head = query.pages.keys + page * view.page_bytes;
  float score = kNoScore;
  if (visible) {
    const T* key = reinterpret_cast<const T*>(head) + place;
    float product = 0.0f;
    for (int i = 0; i < view.head_dim; ++i) {
      product += query.q[i] * to_float(key[i * view.page_tokens]);
    }
    score = finish_score(product, view.soft_cap);
  }
  const float factor = sums.softmax.raise(warp_max(score));
  const float weight = power_of_two(score - sums.softmax.reference);
  sums.softmax.sum += weight;
  for (float& sum : sums.out) sum *= factor;
  const auto value_at = reinterpret_cast<unsigned long long>(
      reinterpret_cast<const T*>(head + view.values_bytes) + int64_t{place} * view.head_dim);
  const int low = max(query.pages.first - start, 0), high = min(query.pages.end - start, 32);
  for (int from = low; from < high; ++from) {
    const float w = __shfl_sync(0xffffffffu, weight, from);
    const auto* value = reinterpret_cast<const T*>(__shfl_sync(0xffffffffu, value_at, from));
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane + 32 * j;
      if (i < view.head_dim) sums.out[j] += w * to_float(value[i]);
    }
  }
}

/// The warps' sums, added in their order.
struct PlainShared {
  float q[kHeadDimMax];
  float out[kWarps][kHeadDimMax];
  float largest[kWarps], total[kWarps];

  __device__ void put(const PlainSums& sums) {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    for (int j = 0; j < kPerLane; ++j) out[warp][lane + 32 * j] = sums.out[j];
    const float sum = warp_sum(sums.softmax.sum);
    if (lane == 0) largest[warp] = sums.softmax.largest, total[warp] = sum;
  }
  __device__ float result(int i) const {
    float most = kNoScore, sum = 0.0f, weights = 0.0f;
    for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w]);
    for (int w = 0; w < kWarps; ++w) {
      const float factor = power_of_two(largest[w] - most);
      sum += factor * out[w][i];
      weights += factor * total[w];
    }
    return sum / weights;
  }
};

/// Block (row of the sequence, query head, sequence).
template <typename T>
__global__ void __launch_bounds__(32 * kWarps) plain_kernel(AttentionView view) {
  __shared__ PlainShared shared;
  let_next_start();
  wait_for_previous();
  const int sequence = static_cast<int>(blockIdx.z), thread = static_cast<int>(threadIdx.x);
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (row >= view.rows[sequence]) return;
  const int64_t offset =
      ((int64_t{view.first_row[sequence]} + row) * view.heads + blockIdx.y) * view.head_dim;
  const float scale = query_scale(view);
  if (thread < view.head_dim) shared.q[thread] = view.q[offset + thread] * scale;
  __syncthreads();
  const int32_t position = view.first_position[sequence] + row;
  PlainQuery query{pages_of(view, sequence, static_cast<int>(blockIdx.y) / view.group), shared.q};
  query.pages.first = first_visible(view, position);
  query.pages.end = position + 1;
  PlainSums sums;
  // A warp's tiles do not depend on where the window starts.
  const int32_t from = query.pages.first / 32;
  const int32_t warp = thread / 32;
  for (int32_t tile = from + (warp - from % kWarps + kWarps) % kWarps; 32 * tile <= position;
       tile += kWarps) {
    add_tile<T>(view, query, 32 * tile, sums);
  }
  shared.put(sums);
  __syncthreads();
  if (thread < view.head_dim) view.out[offset + thread] = shared.result(thread);
}

}  // namespace

void attention_plain(const OpContext& context, const AttentionRun& run) {
  static_assert(32 * kWarps >= kHeadDimMax);
  with_number(run.dtype, [&]<typename T>(T) {
    launch(context,
           {.grid = dim3(static_cast<unsigned>(run.rows_max), static_cast<unsigned>(run.view.heads),
                         static_cast<unsigned>(run.slices.size())),
            .block = dim3(32 * kWarps)},
           plain_kernel<T>, run.view);
  });
}

}  // namespace neuros::kernels::cuda
