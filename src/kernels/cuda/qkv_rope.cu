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

/// Any heads. Block (token, j): four of its heads, one a warp.
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

// --- Heads of up to 128 elements, in fours: a lane has four neighbours. ---

constexpr int kWarpHeads = 4;        ///< of one token, that a warp finishes
constexpr int kKeyTokens = 16;       ///< of one head, that a block writes to the pages
constexpr int kKeyStride = 128 + 4;  ///< of a token in shared memory

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}
bool in_fours(const HeadsView& view) {
  return view.head_dim % 4 == 0 && view.head_dim <= 128 && view.rope_dims % 8 == 0 &&
         is_aligned(view.q) && is_aligned(view.k) && is_aligned(view.v) &&
         is_aligned(view.q_norm) && is_aligned(view.k_norm) && is_aligned(view.rope);
}

__device__ __forceinline__ int lane_index() {
  return static_cast<int>(threadIdx.x) % 32;
}
/// The lane's four elements of a head; zeros past its end.
__device__ __forceinline__ float4 load_four(const HeadsView& view, const float* head) {
  const int first = 4 * lane_index();
  if (first >= view.head_dim) return {};
  return *reinterpret_cast<const float4*>(head + first);
}

/// What turns the lane's elements: element * cosine + its pair's other element * sine.
struct Rotation {
  float4 cosine{}, sine{};
  bool turns = false;

  Rotation() = default;
  __device__ __forceinline__ Rotation(const HeadsView& view, int64_t token) {
    const int first = 4 * lane_index();
    turns = view.rope != nullptr && first < view.rope_dims;
    if (!turns) return;
    const float* rope = view.rope + token * view.rope_dims;
    const int pairs = view.rope_dims / 2;
    if (view.interleaved) {
      const float4 both = *reinterpret_cast<const float4*>(rope + first);
      cosine = {both.x, both.x, both.z, both.z};
      sine = {-both.y, both.y, -both.w, both.w};
      return;
    }
    const float* own = rope + 2 * (first < pairs ? first : first - pairs);
    const float4 low = *reinterpret_cast<const float4*>(own);
    const float4 high = *reinterpret_cast<const float4*>(own + 4);
    const float sign = first < pairs ? -1.0f : 1.0f;
    cosine = {low.x, low.z, high.x, high.z};
    sine = {sign * low.y, sign * low.w, sign * high.y, sign * high.w};
  }
};

/// The other elements of the pairs that the lane's four belong to; of those that turn.
__device__ __forceinline__ float4 other_elements(const HeadsView& view, float4 x) {
  if (view.interleaved) return {x.y, x.x, x.w, x.z};
  const int distance = view.rope_dims / 8, lane = lane_index();
  const int from = lane < distance ? lane + distance : max(lane - distance, 0);
  return {__shfl_sync(0xffffffffu, x.x, from), __shfl_sync(0xffffffffu, x.y, from),
          __shfl_sync(0xffffffffu, x.z, from), __shfl_sync(0xffffffffu, x.w, from)};
}

/// RMS norm and rotation of one head by one warp.
__device__ __forceinline__ float4 finish_four(const HeadsView& view, float4 x, const float* norm,
                                              const Rotation& rotation) {
  if (norm != nullptr) {
    const float squares = warp_sum((x.x * x.x + x.y * x.y) + (x.z * x.z + x.w * x.w));
    const float factor = 1.0f / sqrtf(squares / static_cast<float>(view.head_dim) + view.epsilon);
    const float4 w = load_four(view, norm);
    x = {x.x * factor * w.x, x.y * factor * w.y, x.z * factor * w.z, x.w * factor * w.w};
  }
  const float4 other = other_elements(view, x);
  if (!rotation.turns) return x;
  const float4 c = rotation.cosine, s = rotation.sine;
  return {x.x * c.x + other.x * s.x, x.y * c.y + other.y * s.y, x.z * c.z + other.z * s.z,
          x.w * c.w + other.w * s.w};
}

/// Up to kWarpHeads heads of a token, from `first` on, of `heads` in a row of the products.
__device__ __forceinline__ void load_heads(const HeadsView& view, const float* row, int32_t heads,
                                           int32_t first, float4 (&x)[kWarpHeads]) {
#pragma unroll
  for (int i = 0; i < kWarpHeads; ++i) {
    x[i] = {};
    if (first + i < heads) x[i] = load_four(view, row + (first + i) * view.head_dim);
  }
}

__device__ __forceinline__ void finish_queries(const HeadsView& view, int64_t token,
                                               int32_t first) {
  if (view.q_norm == nullptr && view.rope == nullptr) return;
  float* row = view.q + token * view.heads * view.head_dim;
  float4 x[kWarpHeads];
  load_heads(view, row, view.heads, first, x);
  const Rotation rotation(view, token);
#pragma unroll
  for (int i = 0; i < kWarpHeads; ++i) {
    if (first + i >= view.heads) return;
    const float4 done = finish_four(view, x[i], view.q_norm, rotation);
    const int at = 4 * lane_index();
    if (at < view.head_dim) {
      *reinterpret_cast<float4*>(row + (first + i) * view.head_dim + at) = done;
    }
  }
}

/// This layer's part of the page that holds a token, and the token's place in it.
struct TokenPlace {
  std::byte* page;
  int32_t place;

  __device__ __forceinline__ TokenPlace(const HeadsView& view, int64_t token) {
    const int32_t position = view.positions[token];
    const int32_t* pages = view.pages + view.page_start[view.sequence_of_row[token]];
    page = view.layer + pages[position / view.page_tokens] * view.page_bytes;
    place = position % view.page_tokens;
  }
};

template <typename T>
__device__ __forceinline__ void store_values(const HeadsView& view, int64_t token, int32_t first) {
  struct alignas(4 * sizeof(T)) Four {
    T x[4];
  };
  float4 x[kWarpHeads];
  load_heads(view, view.v + token * view.kv_heads * view.head_dim, view.kv_heads, first, x);
  const TokenPlace to(view, token);
  const int at = 4 * lane_index();
  if (at >= view.head_dim) return;
#pragma unroll
  for (int i = 0; i < kWarpHeads; ++i) {
    if (first + i >= view.kv_heads) return;
    std::byte* head = to.page + (view.kv_heads + first + i) * view.head_bytes;
    *reinterpret_cast<Four*>(reinterpret_cast<T*>(head) + to.place * view.head_dim + at) = {
        from_float<T>(x[i].x), from_float<T>(x[i].y), from_float<T>(x[i].z), from_float<T>(x[i].w)};
  }
}

/// Keys of kKeyTokens rows of one head, by a block: they lie transposed in their pages, so that
/// neighbouring lanes write neighbouring tokens.
template <typename T>
__device__ __forceinline__ void store_keys(const HeadsView& view, int64_t tokens,
                                           int64_t first_token, int32_t head,
                                           float (*shared)[kKeyStride]) {
  constexpr int kOfWarp = kKeyTokens / kWarps;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = lane_index();
  const int64_t last = tokens - 1;
  float4 x[kOfWarp];
  Rotation rotations[kOfWarp];
#pragma unroll
  for (int i = 0; i < kOfWarp; ++i) {
    const int64_t token = min(first_token + warp * kOfWarp + i, last);
    x[i] = load_four(view, view.k + (token * view.kv_heads + head) * view.head_dim);
    rotations[i] = Rotation(view, token);
  }
#pragma unroll
  for (int i = 0; i < kOfWarp; ++i) {
    const float4 done = finish_four(view, x[i], view.k_norm, rotations[i]);
    *reinterpret_cast<float4*>(shared[warp * kOfWarp + i] + 4 * lane) = done;
  }
  __syncthreads();
  const int of_block = lane % kKeyTokens;
  if (first_token + of_block > last) return;
  const TokenPlace to(view, first_token + of_block);
  T* key = reinterpret_cast<T*>(to.page + head * view.head_bytes) + to.place;
  for (int i = 2 * warp + lane / kKeyTokens; i < view.head_dim; i += 2 * kWarps) {
    key[i * view.page_tokens] = from_float<T>(shared[of_block][i]);
  }
}

/// First the blocks of keys, each (kKeyTokens tokens, head); then those of four tokens, a warp
/// each, and kWarpHeads of the queries, or of the values.
struct FourBlocks {
  int32_t key_tiles, key_blocks, token_tiles, query_groups, value_groups;

  FourBlocks(const HeadsView& view, int64_t tokens)
      : key_tiles(static_cast<int32_t>((tokens - 1) / kKeyTokens + 1)),
        key_blocks(key_tiles * view.kv_heads),
        token_tiles(static_cast<int32_t>((tokens - 1) / kWarps + 1)),
        query_groups((view.heads - 1) / kWarpHeads + 1),
        value_groups((view.kv_heads - 1) / kWarpHeads + 1) {}
  int32_t count() const { return key_blocks + token_tiles * (query_groups + value_groups); }
};

template <typename T>
__global__ void __launch_bounds__(32 * kWarps)
    finish_fours_kernel(const __grid_constant__ HeadsView view, FourBlocks blocks, int64_t tokens) {
  __shared__ __align__(16) float shared[kKeyTokens][kKeyStride];
  let_next_start();
  wait_for_previous();
  const auto block = static_cast<int32_t>(blockIdx.x);
  if (block < blocks.key_blocks) {
    const int64_t first_token = int64_t{kKeyTokens} * (block % blocks.key_tiles);
    return store_keys<T>(view, tokens, first_token, block / blocks.key_tiles, shared);
  }
  const int32_t groups = blocks.query_groups + blocks.value_groups;
  const int32_t rest = block - blocks.key_blocks, group = rest % groups;
  const int64_t token = rest / groups * kWarps + static_cast<int64_t>(threadIdx.x) / 32;
  if (token >= tokens) return;
  if (group < blocks.query_groups) return finish_queries(view, token, group * kWarpHeads);
  store_values<T>(view, token, (group - blocks.query_groups) * kWarpHeads);
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

void finish_heads(const OpContext& context, const QkvRopeArgs& args, const float* k,
                  const float* v) {
  const HeadsView view = view_of(context, args, k, v);
  const auto heads = static_cast<unsigned>(args.heads + 2 * args.kv.layout.kv_heads);
  with_number(args.kv.layout.dtype, [&]<typename T>(T) {
    if (in_fours(view)) {
      const FourBlocks blocks(view, args.tokens);
      return launch(
          context,
          {.grid = dim3(static_cast<unsigned>(blocks.count())), .block = dim3(32 * kWarps)},
          finish_fours_kernel<T>, view, blocks, args.tokens);
    }
    launch(context,
           {.grid = dim3(static_cast<unsigned>(args.tokens), (heads + kWarps - 1) / kWarps),
            .block = dim3(32 * kWarps)},
           finish_heads_kernel<T>, view);
  });
}

int64_t qkv_rope_scratch_bytes(const OpLimits& limits) {
  // Keys and values; a model has no more heads of them than of queries, which go to their place.
  return 2 * widths_bytes(limits.tokens, limits.heads * limits.head_dim);
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
