#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/cuda/llama_cpp/sums.cuh"
#include "kernels/qkv_rope.h"

namespace neuros::kernels::cuda::llama_cpp {
namespace {

struct Heads {
  float* values = nullptr;      ///< [tokens, gridDim.y, head_dim], finished in place
  const float* norm = nullptr;  ///< [head_dim] or null
  const float* rope = nullptr;  ///< [tokens, rope_dims / 2, 2] or null
  int rope_dims = 0, head_dim = 0;
  bool interleaved = false;
  float epsilon = 0.0f;
};

__device__ void norm_head(const Heads& heads, float* head) {
  const float factor = norm_factor(head, heads.head_dim, heads.epsilon);
  for (int i = lane_index(); i < heads.head_dim; i += 32) {
    head[i] = __fmul_rn(__fmul_rn(head[i], factor), heads.norm[i]);
  }
  __syncwarp();
}

__device__ void rotate(const Heads& heads, const float* row, float* head) {
  for (int pair = lane_index(); pair < heads.rope_dims / 2; pair += 32) {
    float& first = head[heads.interleaved ? 2 * pair : pair];
    float& second = head[heads.interleaved ? 2 * pair + 1 : pair + heads.rope_dims / 2];
    const float cosine = row[2 * pair], sine = row[2 * pair + 1];
    const float a = first, b = second;
    first = __fmaf_rn(a, cosine, -__fmul_rn(b, sine));
    second = __fmaf_rn(a, sine, __fmul_rn(b, cosine));
  }
}

/// Block (token, head), a warp.
__global__ void heads_kernel(Heads heads) {
  wait_for_previous();
  const int64_t index = int64_t{blockIdx.x} * gridDim.y + blockIdx.y;
  float* head = heads.values + index * heads.head_dim;
  if (heads.norm != nullptr) norm_head(heads, head);
  if (heads.rope == nullptr) return;
  rotate(heads, heads.rope + int64_t{blockIdx.x} * heads.rope_dims, head);
}

void finish(const OpContext& context, const QkvRopeArgs& args, const float* norm, float* values,
            int32_t heads) {
  launch(context,
         {.grid = dim3(static_cast<unsigned>(args.tokens), static_cast<unsigned>(heads)),
          .block = dim3(32)},
         heads_kernel,
         Heads{.values = values,
               .norm = norm,
               .rope = args.rope_table,
               .rope_dims = args.rope_dims,
               .head_dim = args.kv.layout.head_dim,
               .interleaved = args.rope_style == RopeStyle::kInterleaved,
               .epsilon = args.epsilon});
}

/// What is finished is rounded to the pages as the table's own op does it.
void store(const OpContext& context, const QkvRopeArgs& args, const float* keys,
           const float* values) {
  HeadsView view = heads_view(context, args, keys, values);
  view.q_norm = view.k_norm = view.rope = nullptr;
  finish_heads(context, args.kv.layout.dtype, view, args.tokens, args.tokens);
}

}  // namespace

void qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
  if (args.tokens == 0) return;
  const int64_t hidden = args.wq.cols, kv_width = args.wk.rows;
  Scratch scratch(context);
  float* normed = scratch.take(args.tokens * hidden);
  float* keys = scratch.take(args.tokens * kv_width);
  float* values = scratch.take(args.tokens * kv_width);
  rms_norm(context, {args.x, args.norm_weight, normed, args.tokens, hidden, args.epsilon});
  linear(context, {args.wq, normed, args.bq, nullptr, args.q, args.tokens});
  linear(context, {args.wk, normed, args.bk, nullptr, keys, args.tokens});
  linear(context, {args.wv, normed, args.bv, nullptr, values, args.tokens});
  finish(context, args, args.q_norm, args.q, args.heads);
  finish(context, args, args.k_norm, keys, args.kv.layout.kv_heads);
  store(context, args, keys, values);
}

}  // namespace neuros::kernels::cuda::llama_cpp
