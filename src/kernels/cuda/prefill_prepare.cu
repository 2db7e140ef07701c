/// Activations to the operand of the matrix instructions: gather, RMSNorm, scale, round, permute.
/// One block per token, so that a token's numbers depend on its own row only. Bytes: a row is read
/// from device memory once (up to three times from the L1 cache) and 2 bytes a column are written:
/// 1024 tokens of 4096 columns are 25 MB, 8 us at 3.2 TB/s.

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda::prefill {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

/// One token's row, after RMSNorm if there is one.
struct Row {
  const float* x;
  const float* weight;  // null: no RMSNorm
  float factor;         // of RMSNorm
  int cols;
  bool aligned;  // to 16 bytes, as is the weight

  __device__ float4 raw(int col) const {
    if (aligned && col < cols) return *reinterpret_cast<const float4*>(x + col);
    return {at(x, col), at(x, col + 1), at(x, col + 2), at(x, col + 3)};
  }
  /// Columns [col, col + 4); zeros past the end.
  __device__ float4 values(int col) const {
    float4 v = raw(col);
    if (weight == nullptr) return v;
    v.x = v.x * factor * at(weight, col);
    v.y = v.y * factor * at(weight, col + 1);
    v.z = v.z * factor * at(weight, col + 2);
    v.w = v.w * factor * at(weight, col + 3);
    return v;
  }

 private:
  __device__ float at(const float* row, int col) const { return col < cols ? row[col] : 0.0f; }
};

/// The combination of all threads' values, for every thread; always in the same order.
template <typename Combine>
__device__ float reduce(float value, Combine combine) {
  __shared__ float of_warp[kWarps];
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  float all = of_warp[0];
  for (int warp = 1; warp < kWarps; ++warp) all = combine(all, of_warp[warp]);
  return all;
}

__device__ float norm_factor(const Row& row, float epsilon) {
  float sum = 0.0f;
  for (int col = 4 * threadIdx.x; col < row.cols; col += 4 * kThreads) {
    const float4 v = row.raw(col);
    sum += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
  }
  sum = reduce(sum, [](float a, float b) { return a + b; });
  return 1.0f / sqrtf(sum / static_cast<float>(row.cols) + epsilon);
}

/// The exponent e for which the largest magnitude times 2^e lies in [128, 256); bounded so that 2^e
/// and 2^-e are normal floats.
__device__ int scale_exponent(const Row& row) {
  float largest = 0.0f;
  for (int col = 4 * threadIdx.x; col < row.cols; col += 4 * kThreads) {
    const float4 v = row.values(col);
    largest = fmaxf(fmaxf(largest, fmaxf(fabsf(v.x), fabsf(v.y))), fmaxf(fabsf(v.z), fabsf(v.w)));
  }
  largest = reduce(largest, [](float a, float b) { return fmaxf(a, b); });
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 126;
  return min(8 - exponent, 120);
}

__device__ float power_of_two(int exponent) {
  return __uint_as_float(static_cast<uint32_t>(exponent + 127) << 23);
}

template <Prepared kKind>
__device__ uint32_t round_pair(float low, float high) {
  if constexpr (kKind == Prepared::kBF16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
}

/// Lanes come in fours, t = 0 .. 3, with columns 4t .. 4t+3 of 16. The first piece wants the first
/// pair of each, the second piece the second pair; neighbours swap one pair so that even lanes hold
/// 8 bytes of the first piece and odd lanes of the second.
template <Prepared kKind>
__device__ void write_halves(const PrepareArgs& args, const Row& row, int token, float factor) {
  const int t = threadIdx.x % 4;
  for (int col = 4 * threadIdx.x; col < args.padded_cols; col += 4 * kThreads) {
    const float4 v = row.values(col);
    const uint32_t first = round_pair<kKind>(v.x * factor, v.y * factor);
    const uint32_t second = round_pair<kKind>(v.z * factor, v.w * factor);
    const bool odd = t % 2 == 1;
    const uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? first : second, 1);
    const int piece = col % kBlockColumns / 16 * 2 + (odd ? 1 : 0);
    std::byte* block = args.out + col / kBlockColumns * (args.padded_tokens * kBlockRowBytes);
    std::byte* at = block + token * kBlockRowBytes + ((piece ^ (token % 8)) * 16) + t / 2 * 8;
    *reinterpret_cast<uint2*>(at) = odd ? uint2{other, second} : uint2{first, other};
  }
}

__device__ void write_floats(const PrepareArgs& args, const Row& row, int token) {
  float* out = reinterpret_cast<float*>(args.out) + token * args.padded_cols;
  for (int col = 4 * threadIdx.x; col < args.padded_cols; col += 4 * kThreads) {
    *reinterpret_cast<float4*>(out + col) = row.values(col);
  }
}

template <Prepared kKind>
__global__ void __launch_bounds__(kThreads) prepare(const __grid_constant__ PrepareArgs args) {
  let_next_start();  // its blocks fetch weights while these end
  wait_for_previous();
  const int token = blockIdx.x;
  Row row{nullptr, nullptr, 1.0f, 0, false};  // padding: no columns
  if (token < args.source.tokens) {
    const int64_t index = args.source.rows == nullptr ? token : args.source.rows[token];
    row.x = args.source.x + index * args.source.cols;
    row.cols = static_cast<int>(args.source.cols);
    row.aligned = row.cols % 4 == 0 && reinterpret_cast<uintptr_t>(args.source.x) % 16 == 0;
    if (args.source.norm_weight != nullptr) {
      row.factor = norm_factor(row, args.source.epsilon);
      row.weight = args.source.norm_weight;
    }
  }
  if constexpr (kKind == Prepared::kF32) {
    write_floats(args, row, token);
    if (threadIdx.x == 0) args.token_factors[token] = 1.0f;
  } else {
    const bool scaled = kKind == Prepared::kF16 && row.cols > 0;
    const int exponent = scaled ? scale_exponent(row) : 0;
    write_halves<kKind>(args, row, token, power_of_two(exponent));
    if (threadIdx.x == 0) args.token_factors[token] = power_of_two(-exponent);
  }
}

}  // namespace

void prepare_activations(const OpContext& context, Prepared kind, const PrepareArgs& args) {
  const auto kernel = kind == Prepared::kF16    ? prepare<Prepared::kF16>
                      : kind == Prepared::kBF16 ? prepare<Prepared::kBF16>
                                                : prepare<Prepared::kF32>;
  const LaunchShape shape{.grid = dim3(static_cast<unsigned>(args.padded_tokens)),
                          .block = dim3(kThreads)};
  launch(context, shape, kernel, args);
}

}  // namespace neuros::kernels::cuda::prefill
