#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/number.cuh"
#include "kernels/cuda/ops.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kHeadDimMax = 256;
constexpr int kPerLane = kHeadDimMax / 32;

/// What the products left, and where it goes.
struct HeadsView {
  float* q;             ///< [tokens, heads, head_dim], finished in place
  const float* k;       ///< [tokens, kv_heads, head_dim]
  const float* v;       ///< the same
  const float* q_norm;  ///< [head_dim] or null
  const float* k_norm;
  float epsilon;
  const float* rope;  ///< [tokens, rope_dims / 2, 2] or null
  int32_t rope_dims;
  bool interleaved;
  int32_t heads, kv_heads, head_dim;
  const int32_t* positions;
  const int32_t* sequence_of_row;
  const int32_t* page_start;
  const int32_t* pages;
  std::byte* layer;  ///< this layer of page 0
  int64_t page_bytes, head_bytes;
  int32_t page_tokens;
};

/// RMS norm and rotation of one head by one warp; the result lies in `head`, shared, [head_dim].
__device__ void finish_head(const HeadsView& view, const float* from, const float* norm,
                            const float* rope, float* head) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float x[kPerLane];
  float squares = 0.0f;
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    const int i = lane + 32 * j;
    x[j] = i < view.head_dim ? from[i] : 0.0f;
    squares += x[j] * x[j];
  }
  float factor = 1.0f;
  if (norm != nullptr) {
    const float mean = warp_sum(squares) / static_cast<float>(view.head_dim);
    factor = 1.0f / sqrtf(mean + view.epsilon);
  }
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    const int i = lane + 32 * j;
    if (i < view.head_dim) head[i] = norm == nullptr ? x[j] : x[j] * factor * norm[i];
  }
  __syncwarp();
  if (rope == nullptr) return;
  const int pairs = view.rope_dims / 2;
  for (int pair = lane; pair < pairs; pair += 32) {
    float& a = head[view.interleaved ? 2 * pair : pair];
    float& b = head[view.interleaved ? 2 * pair + 1 : pair + pairs];
    const float cosine = rope[2 * pair], sine = rope[2 * pair + 1];
    const float first = a * cosine - b * sine;
    b = a * sine + b * cosine;
    a = first;
  }
  __syncwarp();
}

/// A warp's head: of the queries, then of the keys, then of the values.
template <typename T>
__device__ void store_head(const HeadsView& view, int64_t token, int32_t head, float* shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float* rope = view.rope == nullptr ? nullptr : view.rope + token * view.rope_dims;
  if (head < view.heads) {
    if (view.q_norm == nullptr && rope == nullptr) return;
    float* q = view.q + (token * view.heads + head) * view.head_dim;
    finish_head(view, q, view.q_norm, rope, shared);
    for (int i = lane; i < view.head_dim; i += 32) q[i] = shared[i];
    return;
  }
  const bool is_key = head < view.heads + view.kv_heads;
  const int32_t kv_head = head - view.heads - (is_key ? 0 : view.kv_heads);
  const int64_t at = (token * view.kv_heads + kv_head) * view.head_dim;
  const int32_t position = view.positions[token];
  const int32_t* pages = view.pages + view.page_start[view.sequence_of_row[token]];
  const int64_t page = pages[position / view.page_tokens];
  const int32_t place = position % view.page_tokens;
  std::byte* keys = view.layer + page * view.page_bytes + kv_head * view.head_bytes;
  if (is_key) {
    finish_head(view, view.k + at, view.k_norm, rope, shared);
    T* to = reinterpret_cast<T*>(keys) + place;
    for (int i = lane; i < view.head_dim; i += 32) {
      to[i * view.page_tokens] = from_float<T>(shared[i]);
    }
  } else {
    T* to = reinterpret_cast<T*>(keys + view.kv_heads * view.head_bytes) + place * view.head_dim;
    for (int i = lane; i < view.head_dim; i += 32) to[i] = from_float<T>(view.v[at + i]);
  }
}

/// Block (token, j): four of its heads, one a warp.
template <typename T>
__global__ void __launch_bounds__(32 * kWarps) finish_heads_kernel(HeadsView view) {
  __shared__ float shared[kWarps][kHeadDimMax];
  let_next_start();
  wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const auto head = static_cast<int32_t>(blockIdx.y) * kWarps + warp;
  if (head >= view.heads + 2 * view.kv_heads) return;
  store_head<T>(view, blockIdx.x, head, shared[warp]);
}

int64_t widths_bytes(int64_t tokens, int64_t width) {
  return round_up(tokens * width * static_cast<int64_t>(sizeof(float)), 256);
}

HeadsView view_of(const OpContext& context, const QkvRopeArgs& args, const float* k,
                  const float* v) {
  const KvLayout& layout = args.kv.layout;
  const DeviceBatch batch = batch_of(context);
  return {.q = args.q,
          .k = k,
          .v = v,
          .q_norm = args.q_norm,
          .k_norm = args.k_norm,
          .epsilon = args.epsilon,
          .rope = args.rope_table,
          .rope_dims = args.rope_dims,
          .interleaved = args.rope_style == RopeStyle::kInterleaved,
          .heads = args.heads,
          .kv_heads = layout.kv_heads,
          .head_dim = layout.head_dim,
          .positions = batch.positions,
          .sequence_of_row = batch.sequence_of_row,
          .page_start = batch.page_start,
          .pages = batch.pages,
          .layer = args.kv.keys(0, args.layer, 0),
          .page_bytes = layout.page_bytes(),
          .head_bytes = layout.head_bytes(),
          .page_tokens = layout.page_tokens};
}

}  // namespace

int64_t qkv_rope_scratch_bytes(const OpLimits& limits) {
  // Keys and values; a model has no more heads of them than of queries, which go to their place.
  return 2 * widths_bytes(limits.tokens, limits.heads * limits.head_dim);
}

void finish_heads(const OpContext& context, const QkvRopeArgs& args, const float* k,
                  const float* v) {
  const HeadsView view = view_of(context, args, k, v);
  const auto heads = static_cast<unsigned>(args.heads + 2 * args.kv.layout.kv_heads);
  with_number(args.kv.layout.dtype, [&]<typename T>(T) {
    launch(context,
           {.grid = dim3(static_cast<unsigned>(args.tokens), (heads + kWarps - 1) / kWarps),
            .block = dim3(32 * kWarps)},
           finish_heads_kernel<T>, view);
  });
}

void qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
  if (args.tokens == 0) return;
  CHECK(args.kv.layout.head_dim <= kHeadDimMax && args.rope_dims <= args.kv.layout.head_dim);
  const std::span<std::byte> scratch = op_scratch(context);
  const int64_t bytes = widths_bytes(args.tokens, args.wk.rows);
  CHECK(2 * bytes <= std::ssize(scratch), "scratch: less than scratch_bytes() asked for");
  auto* k = reinterpret_cast<float*>(scratch.data());
  auto* v = reinterpret_cast<float*>(scratch.data() + bytes);
  const std::array<LinearTask, 3> tasks{
      {{.weight = args.wq, .bias = args.bq, .residual = nullptr, .y = args.q},
       {.weight = args.wk, .bias = args.bk, .residual = nullptr, .y = k},
       {.weight = args.wv, .bias = args.bv, .residual = nullptr, .y = v}}};
  linear_tasks(context,
               {.x = args.x,
                .norm_weight = args.norm_weight,
                .epsilon = args.epsilon,
                .rows = nullptr,
                .tokens = args.tokens,
                .decode_tokens = args.decode_tokens,
                .cols = args.wq.cols},
               tasks, scratch.subspan(static_cast<size_t>(2 * bytes)));
  finish_heads(context, args, k, v);
}

}  // namespace neuros::kernels::cuda
