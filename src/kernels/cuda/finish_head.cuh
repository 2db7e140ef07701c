#pragma once

/// One head, finished by one warp: RMS norm, rotation, and its place in the pages. What the
/// products left is read past the first-level cache: other blocks wrote it.

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/number.cuh"

namespace neuros::kernels::cuda {

inline constexpr int kHeadDimMax = 256;

/// RMS norm's factor of a head, from the sum of its squares.
__device__ __forceinline__ float head_norm_factor(float squares, const HeadsView& view) {
  const float mean = __fdividef(squares, static_cast<float>(view.head_dim));
  return rsqrtf(__fadd_rn(mean, view.epsilon));
}

/// Rotates pair `pair` of `pairs` of a head by {cosine, sine}.
__device__ __forceinline__ void turn_pair(const HeadsView& view, int pair, int pairs, float2 by,
                                          float* head) {
  float& a = head[view.interleaved ? 2 * pair : pair];
  float& b = head[view.interleaved ? 2 * pair + 1 : pair + pairs];
  const float first = __fmaf_rn(a, by.x, -__fmul_rn(b, by.y));
  b = __fmaf_rn(a, by.y, __fmul_rn(b, by.x));
  a = first;
}

/// RMS norm and rotation; the result lies in `head`, shared, [head_dim]. kMost: no head is larger.
template <int kMost = kHeadDimMax>
__device__ __forceinline__ void finish_head(const HeadsView& view, const float* from,
                                            const float* norm, const float* rope, float* head) {
  constexpr int kPerLane = kMost / 32, kPairsPerLane = kMost / 64;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int pairs = rope == nullptr ? 0 : view.rope_dims / 2;
  float2 turns[kPairsPerLane];  // on their way together with the elements
#pragma unroll
  for (int j = 0; j < kPairsPerLane; ++j) {
    const int pair = lane + 32 * j;
    if (pair < pairs) turns[j] = make_float2(rope[2 * pair], rope[2 * pair + 1]);
  }
  float x[kPerLane];
  float squares = 0.0f;
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    const int i = lane + 32 * j;
    x[j] = i < view.head_dim ? __ldcg(from + i) : 0.0f;
    squares = __fmaf_rn(x[j], x[j], squares);
  }
  const float factor = norm == nullptr ? 1.0f : head_norm_factor(warp_sum(squares), view);
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    const int i = lane + 32 * j;
    if (i < view.head_dim) head[i] = norm == nullptr ? x[j] : x[j] * factor * norm[i];
  }
  __syncwarp();
  if (rope == nullptr) return;
#pragma unroll
  for (int j = 0; j < kPairsPerLane; ++j) {
    const int pair = lane + 32 * j;
    if (pair < pairs) turn_pair(view, pair, pairs, turns[j], head);
  }
  __syncwarp();
}

/// The keys of `kv_head` at this row's place in its page; its values lie kv_heads heads further.
__device__ __forceinline__ std::byte* head_page(const HeadsView& view, int64_t token,
                                                int32_t kv_head) {
  const int32_t* pages = view.pages + view.page_start[view.sequence_of_row[token]];
  const int64_t page = pages[view.positions[token] / view.page_tokens];
  return view.layer + page * view.page_bytes + kv_head * view.head_bytes;
}

/// A key's place in its page: of the batch alone, as is that of values.
template <typename T>
__device__ __forceinline__ T* key_place(const HeadsView& view, int64_t token, int32_t kv_head) {
  return reinterpret_cast<T*>(head_page(view, token, kv_head)) +
         view.positions[token] % view.page_tokens;
}
/// Writes a finished key to its place.
template <typename T>
__device__ __forceinline__ void store_key(const HeadsView& view, T* to, const float* shared) {
  for (int i = static_cast<int>(threadIdx.x) % 32; i < view.head_dim; i += 32) {
    to[i * view.page_tokens] = from_float<T>(shared[i]);
  }
}

/// A value's place in its page.
template <typename T>
__device__ __forceinline__ T* value_place(const HeadsView& view, int64_t token, int32_t kv_head) {
  std::byte* values = head_page(view, token, kv_head) + view.kv_heads * view.head_bytes;
  return reinterpret_cast<T*>(values) + view.positions[token] % view.page_tokens * view.head_dim;
}
/// Writes a value to its place.
template <typename T>
__device__ __forceinline__ void store_value(const HeadsView& view, T* to, const float* from) {
  for (int i = static_cast<int>(threadIdx.x) % 32; i < view.head_dim; i += 32) {
    to[i] = from_float<T>(__ldcg(from + i));
  }
}

/// The rotation of a row, or null.
__device__ __forceinline__ const float* rope_of(const HeadsView& view, int64_t token) {
  return view.rope == nullptr ? nullptr : view.rope + token * view.rope_dims;
}

}  // namespace neuros::kernels::cuda
