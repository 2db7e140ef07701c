#pragma once

/// kernels/llama_cpp/sums.h by a warp: its lanes have the partial sums. `a` and `b` give element i
/// of what is multiplied.

namespace neuros::kernels::cuda::llama_cpp {

inline constexpr int kBlock = 64;
inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() {
  return static_cast<int>(threadIdx.x) % 32;
}
__device__ __forceinline__ int whole_blocks(int size) {
  return size / kBlock * kBlock;
}

/// The upper half of `kCount` neighbouring lanes is added to the lower until one is left; all of
/// them get its sum.
template <int kCount>
__device__ __forceinline__ float add_halves(float sum) {
#pragma unroll
  for (int half = kCount / 2; half > 0; half /= 2) {
    sum = __fadd_rn(sum, __shfl_down_sync(kAllLanes, sum, half, kCount));
  }
  return __shfl_sync(kAllLanes, sum, 0, kCount);
}

/// The part of whole blocks of 64.
template <typename A, typename B>
__device__ __forceinline__ float dot_blocks(const A& a, const B& b, int size) {
  const int lane = lane_index();
  float low = 0.0f, high = 0.0f;
  for (int at = 0; at < whole_blocks(size); at += kBlock) {
    low = __fmaf_rn(a(at + lane), b(at + lane), low);
    high = __fmaf_rn(a(at + 32 + lane), b(at + 32 + lane), high);
  }
  return add_halves<32>(__fadd_rn(low, high));
}

/// For a single token.
template <typename A, typename B>
__device__ __forceinline__ float dot(const A& a, const B& b, int size) {
  float sum = dot_blocks(a, b, size);
  for (int i = whole_blocks(size); i < size; ++i) sum = __fadd_rn(sum, __fmul_rn(a(i), b(i)));
  return sum;
}

/// Among several tokens: each half of the warp has a sum of its own. `size`: a multiple of 16.
template <typename A, typename B>
__device__ __forceinline__ float dot_in_batch(const A& a, const B& b, int size) {
  constexpr int kLanes = 16;
  float sum = 0.0f;
  for (int i = lane_index() % kLanes; i < size; i += kLanes) sum = __fmaf_rn(a(i), b(i), sum);
  return add_halves<kLanes>(sum);
}

/// What a row is multiplied by: 1 / sqrt(mean(x^2) + epsilon), squares added up in double.
__device__ __forceinline__ float norm_factor(const float* x, int size, float epsilon) {
  double squares = 0.0;
  for (int at = 0; at < size; at += 32) {
    const int i = at + lane_index();
    const float own = i < size ? __fmul_rn(x[i], x[i]) : 0.0f;
    for (int from = 0; from < min(32, size - at); ++from) {
      squares = __dadd_rn(squares, static_cast<double>(__shfl_sync(kAllLanes, own, from)));
    }
  }
  const auto mean = static_cast<float>(__ddiv_rn(squares, static_cast<double>(size)));
  return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, epsilon)));
}

}  // namespace neuros::kernels::cuda::llama_cpp
