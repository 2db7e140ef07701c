#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/cuda/llama_cpp/sums.cuh"
#include "kernels/cuda/number.cuh"

#include <algorithm>
#include <cmath>

namespace neuros::kernels::cuda::llama_cpp {
namespace {

constexpr int kHeadDimMax = 256;
constexpr int kPerLane = kHeadDimMax / 32;

__device__ __forceinline__ float rounded(float value) {
  return __half2float(__float2half_rn(value));
}
__device__ __forceinline__ float exp_of(float value) {
  return static_cast<float>(exp(static_cast<double>(value)));
}

/// One query head at one position, and what it is compared with, in shared memory.
struct Query {
  float q[kHeadDimMax];  ///< rounded to f16
  float key[kHeadDimMax];
};

__device__ float score(const AttentionView& view, const Query& query) {
  const auto key_at = [&](int i) { return query.key[i]; };
  const auto q_at = [&](int i) { return query.q[i]; };
  double sum = dot_blocks(key_at, q_at, view.head_dim);
  for (int i = whole_blocks(view.head_dim); i < view.head_dim; ++i) {
    sum = __dadd_rn(sum, static_cast<double>(__fmul_rn(query.key[i], query.q[i])));
  }
  const float cap = view.soft_cap, product = static_cast<float>(sum);
  if (cap <= 0.0f) return __fmul_rn(product, view.scale);
  const float fraction = __fmul_rn(product, __fdiv_rn(view.scale, cap));
  return __fmul_rn(cap, static_cast<float>(tanh(static_cast<double>(fraction))));
}

/// What positions so far add up to; lane l has elements l, l + 32, ...
struct Sums {
  float of[kPerLane] = {};
  float largest = -INFINITY, total = 0.0f;

  /// When a score is the largest yet, what was summed shrinks to it.
  __device__ void add(float s, const __half* value, int head_dim) {
    const float shrink = s > largest ? exp_of(__fsub_rn(largest, s)) : 1.0f;
    const float weight = s > largest ? 1.0f : exp_of(__fsub_rn(s, largest));
    largest = fmaxf(largest, s);
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane_index() + 32 * j;
      if (i >= head_dim) continue;
      if (shrink != 1.0f) of[j] = rounded(__fmul_rn(of[j], shrink));
      of[j] = rounded(__fmaf_rn(__half2float(value[i]), weight, of[j]));
    }
    total = __fmaf_rn(total, shrink, weight);
  }
};

/// Block (row of the sequence, query head, sequence), a warp.
__global__ void attention_kernel(AttentionView view) {
  __shared__ Query query;
  wait_for_previous();
  const int sequence = static_cast<int>(blockIdx.z);
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (row >= view.rows[sequence]) return;
  const int64_t at =
      ((int64_t{view.first_row[sequence]} + row) * view.heads + blockIdx.y) * view.head_dim;
  for (int i = lane_index(); i < view.head_dim; i += 32) query.q[i] = rounded(view.q[at + i]);
  const HeadPages pages = pages_of(view, sequence, static_cast<int>(blockIdx.y) / view.group);
  const int32_t position = view.first_position[sequence] + row;
  Sums sums;
  for (int32_t p = first_visible(view, position); p <= position; ++p) {
    const PagePlace place = pages.find(view, p);
    const std::byte* head = pages.keys + place.page * view.page_bytes;
    const auto* key = reinterpret_cast<const __half*>(head) + place.place;
    __syncwarp();
    for (int i = lane_index(); i < view.head_dim; i += 32) {
      query.key[i] = __half2float(key[i * view.page_tokens]);
    }
    __syncwarp();
    const auto* values = reinterpret_cast<const __half*>(head + view.values_bytes);
    sums.add(score(view, query), values + int64_t{place.place} * view.head_dim, view.head_dim);
  }
  const float inverse = __fdiv_rn(1.0f, sums.total);
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    const int i = lane_index() + 32 * j;
    if (i < view.head_dim) view.out[at + i] = __fmul_rn(sums.of[j], inverse);
  }
}

}  // namespace

void attention(const OpContext& context, const AttentionArgs& args) {
  const KvLayout& layout = args.kv.layout;
  CHECK(layout.dtype == base::DType::kF16, "llama.cpp's attention needs f16 keys and values");
  int32_t rows = 0;
  for (const SequenceSlice& slice : args.sequences) rows = std::max(rows, slice.rows);
  if (rows == 0) return;
  launch(context,
         {.grid = dim3(static_cast<unsigned>(rows), static_cast<unsigned>(args.heads),
                       static_cast<unsigned>(args.sequences.size())),
          .block = dim3(32)},
         attention_kernel, attention_view(args, batch_of(context), 0));
}

}  // namespace neuros::kernels::cuda::llama_cpp
