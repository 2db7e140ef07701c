/// Finishing the heads of prompt rows: heads of up to 128 elements in fours, a lane has four
/// neighbours.

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/number.cuh"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kWarps = 4;
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

}  // namespace

bool finish_prompt_heads(const OpContext& context, base::DType pages, const HeadsView& view,
                         int64_t tokens) {
  if (!in_fours(view)) return false;
  const FourBlocks blocks(view, tokens);
  with_number(pages, [&]<typename T>(T) {
    launch(context,
           {.grid = dim3(static_cast<unsigned>(blocks.count())), .block = dim3(32 * kWarps)},
           finish_fours_kernel<T>, view, blocks, tokens);
  });
  return true;
}

}  // namespace neuros::kernels::cuda
