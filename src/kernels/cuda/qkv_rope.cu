#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/finish_head.cuh"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/step_program.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kWarps = 4;

/// A warp's head of a row: of the queries, then of the keys, then of the values.
template <typename T>
class WarpHead {
 public:
  /// Finds its place in the pages, which needs no waiting.
  __device__ WarpHead(const HeadsView& view, int64_t token, int32_t head)
      : view_(view), token_(token), head_(head) {
    if (is_query()) return;
    to_ = is_key() ? key_place<T>(view, token, kv_head()) : value_place<T>(view, token, kv_head());
  }

  __device__ void store(float* shared) const {
    const float* rope = rope_of(view_, token_);
    if (is_query()) return store_query(rope, shared);
    const int64_t at = (token_ * view_.kv_heads + kv_head()) * view_.head_dim;
    if (!is_key()) return store_value<T>(view_, to_, view_.v + at);
    finish_head(view_, view_.k + at, view_.k_norm, rope, shared);
    store_key<T>(view_, to_, shared);
  }

 private:
  __device__ bool is_query() const { return head_ < view_.heads; }
  __device__ bool is_key() const { return head_ < view_.heads + view_.kv_heads; }
  __device__ int32_t kv_head() const { return (head_ - view_.heads) % view_.kv_heads; }

  __device__ void store_query(const float* rope, float* shared) const {
    if (view_.q_norm == nullptr && rope == nullptr) return;
    float* q = view_.q + (token_ * view_.heads + head_) * view_.head_dim;
    finish_head(view_, q, view_.q_norm, rope, shared);
    for (int i = static_cast<int>(threadIdx.x) % 32; i < view_.head_dim; i += 32) q[i] = shared[i];
  }

  const HeadsView& view_;
  const int64_t token_;
  const int32_t head_;
  T* to_ = nullptr;
};

/// Block (token, j): four of its heads, one a warp.
template <typename T>
__global__ void __launch_bounds__(32 * kWarps)
    finish_heads_kernel(const __grid_constant__ HeadsView view) {
  __shared__ float shared[kWarps][kHeadDimMax];
  let_next_start();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const auto head = static_cast<int32_t>(blockIdx.y) * kWarps + warp;
  if (head >= view.heads + 2 * view.kv_heads) return;
  const WarpHead<T> own(view, blockIdx.x, head);
  wait_for_previous();
  own.store(shared[warp]);
}

int64_t widths_bytes(int64_t tokens, int64_t width) {
  return round_up(tokens * width * static_cast<int64_t>(sizeof(float)), 256);
}

}  // namespace

HeadsView heads_view(const OpContext& context, const QkvRopeArgs& args, const float* k,
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

namespace {

/// The view of the rows from `first` on.
HeadsView rows_from(HeadsView view, int64_t first) {
  view.q += first * view.heads * view.head_dim;
  view.k += first * view.kv_heads * view.head_dim;
  view.v += first * view.kv_heads * view.head_dim;
  if (view.rope != nullptr) view.rope += first * view.rope_dims;
  view.positions += first;
  view.sequence_of_row += first;
  return view;
}

}  // namespace

void finish_heads(const OpContext& context, base::DType pages, const HeadsView& view,
                  int64_t tokens, int64_t decode_tokens) {
  if (tokens > decode_tokens &&
      finish_prompt_heads(context, pages, rows_from(view, decode_tokens), tokens - decode_tokens)) {
    tokens = decode_tokens;
  }
  if (tokens == 0) return;
  const auto heads = static_cast<unsigned>(view.heads + 2 * view.kv_heads);
  with_number(pages, [&]<typename T>(T) {
    launch(context,
           {.grid = dim3(static_cast<unsigned>(tokens), (heads + kWarps - 1) / kWarps),
            .block = dim3(32 * kWarps)},
           finish_heads_kernel<T>, view);
  });
}

void finish_heads(const OpContext& context, const QkvRopeArgs& args, const float* k,
                  const float* v) {
  finish_heads(context, args.kv.layout.dtype, heads_view(context, args, k, v), args.tokens,
               args.decode_tokens);
}

int64_t qkv_rope_scratch_bytes(const OpLimits& limits) {
  // Keys and values; a model has no more heads of them than of queries, which go to their place.
  return 2 * widths_bytes(limits.tokens, limits.heads * limits.head_dim);
}

namespace {

void launch_qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
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
  const ActivationSource source{.x = args.x,
                                .norm_weight = args.norm_weight,
                                .epsilon = args.epsilon,
                                .rows = nullptr,
                                .tokens = args.tokens,
                                .decode_tokens = args.decode_tokens,
                                .cols = args.wq.cols};
  const HeadsView view = heads_view(context, args, k, v);
  const base::DType pages = args.kv.layout.dtype;
  const std::span<std::byte> rest = scratch.subspan(static_cast<size_t>(2 * bytes));
  const int64_t decode = args.decode_tokens, prompts = args.tokens - decode;
  int64_t unfinished = args.tokens;
  if (prompts > 0 && prefill_heads(context, rows_of(source, decode, prompts), tasks,
                                   rows_from(view, decode), pages, rest)) {
    unfinished = decode;
  }
  if (unfinished == 0) return;
  linear_tasks(context, rows_of(source, 0, unfinished), tasks, rest);
  finish_heads(context, pages, view, unfinished, decode);
}

}  // namespace

void qkv_rope(const OpContext& context, const QkvRopeArgs& args) {
  if (args.tokens == 0) return;
  if (StepProgram* step = step_program(context); step != nullptr && step->add(args)) return;
  flush_pass(context);
  launch_qkv_rope(alone(context), args);
}

}  // namespace neuros::kernels::cuda
