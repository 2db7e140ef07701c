#pragma once

/// Preparing activations (activations.h) by a block of 256 threads: what the kernel of prepare.cu
/// and decode kernels that prepare for themselves have in common. The same float operations in the
/// same order in both, spelled so that the compiler fuses none: a token's bits do not depend on who
/// prepared it.

#include "kernels/cuda/activations.h"
#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/linear.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda {

inline constexpr int kBlockThreads = 256;
inline constexpr int kBlockWarps = kBlockThreads / kLanes;

/// ActivationSource as kernels get it.
struct SourceRows {
  const float* x = nullptr;
  const float* norm_weight = nullptr;
  const int32_t* rows = nullptr;
  float epsilon = 0.0f;
  int cols = 0;

  __device__ const float* row(int token) const {
    const int64_t index = rows == nullptr ? token : rows[token];
    return x + index * cols;
  }
  /// Before the kernel waits for the one that makes x.
  __device__ void prefetch_norm() const {
    if (norm_weight == nullptr) return;
    for (int i = 32 * threadIdx.x; i < cols; i += 32 * kBlockThreads)
      prefetch_line(norm_weight + i);
  }
};

inline SourceRows source_rows(const ActivationSource& source) {
  return {.x = source.x,
          .norm_weight = source.norm_weight,
          .rows = source.rows,
          .epsilon = source.epsilon,
          .cols = static_cast<int>(source.cols)};
}

struct Four {
  float at[4];
};

/// Columns column .. column + 3 of a row, zeros behind its end.
__device__ __forceinline__ Four load_four(const float* row, int column, int cols) {
  const float* from = row + column;
  if (column + 4 <= cols && reinterpret_cast<uintptr_t>(from) % 16 == 0) {
    const float4 values = *reinterpret_cast<const float4*>(from);
    return {{values.x, values.y, values.z, values.w}};
  }
  Four out{};
  for (int i = 0; i < 4; ++i) {
    if (column + i < cols) out.at[i] = from[i];
  }
  return out;
}

/// What all values of a row are multiplied by.
struct RowFactors {
  float norm = 1.0f;   ///< of RMSNorm
  float scale = 1.0f;  ///< power of two; kF16 only
};

/// Sum and maximum over the block's threads.
__device__ inline float2 reduce_block(float sum, float largest) {
  __shared__ float2 of_warp[kBlockWarps];
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, distance));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
  }
  __syncthreads();  // the values of an earlier call have been read
  if (threadIdx.x % kLanes == 0) of_warp[threadIdx.x / kLanes] = make_float2(sum, largest);
  __syncthreads();
  float2 all = of_warp[0];
#pragma unroll
  for (int warp = 1; warp < kBlockWarps; ++warp) {
    all.x = __fadd_rn(all.x, of_warp[warp].x);
    all.y = fmaxf(all.y, of_warp[warp].y);
  }
  return all;
}

/// The power of two that brings `largest` into [512, 1024).
__device__ __forceinline__ float f16_scale(float largest) {
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
  if (exponent > 127) return 1.0f;  // infinite or no number
  return __uint_as_float(static_cast<uint32_t>(9 - max(exponent, -100) + 127) << 23);
}
/// Of a power of two.
__device__ __forceinline__ float inverse_power(float power) {
  return __uint_as_float((254u << 23) - __float_as_uint(power));
}

/// All threads of the block call it.
template <ActivationKind kKind>
__device__ RowFactors row_factors(const SourceRows& source, const float* row) {
  const bool normed = source.norm_weight != nullptr;
  RowFactors factors;
  if (!normed && kKind != ActivationKind::kF16) return factors;
  float squares = 0.0f, largest = 0.0f;
#pragma unroll 4
  for (int column = 4 * threadIdx.x; column < source.cols; column += 4 * kBlockThreads) {
    const Four x = load_four(row, column, source.cols);
    Four weight{{1.0f, 1.0f, 1.0f, 1.0f}};
    if (normed && kKind == ActivationKind::kF16) {
      weight = load_four(source.norm_weight, column, source.cols);
    }
    for (int i = 0; i < 4; ++i) {
      squares = __fmaf_rn(x.at[i], x.at[i], squares);
      largest = fmaxf(largest, fabsf(__fmul_rn(x.at[i], weight.at[i])));
    }
  }
  const float2 all = reduce_block(squares, largest);
  if (normed) {
    const float mean = __fdiv_rn(all.x, static_cast<float>(source.cols));
    factors.norm = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, source.epsilon)));
  }
  if (kKind == ActivationKind::kF16) factors.scale = f16_scale(__fmul_rn(all.y, factors.norm));
  return factors;
}

/// Four values of a row before they are rounded; zeros behind its end.
__device__ __forceinline__ Four prepared_values(const SourceRows& source, const float* row,
                                                int column, RowFactors factors) {
  Four values = load_four(row, column, source.cols);
  if (source.norm_weight != nullptr) {
    const Four weight = load_four(source.norm_weight, column, source.cols);
    for (int i = 0; i < 4; ++i) {
      values.at[i] = __fmul_rn(__fmul_rn(values.at[i], factors.norm), weight.at[i]);
    }
  }
  for (int i = 0; i < 4; ++i) values.at[i] = __fmul_rn(values.at[i], factors.scale);
  return values;
}

/// Four codes to a word, the first in the lowest byte: the low bits of value * inverse + kSumBase
/// are the nearest whole number.
__device__ __forceinline__ uint32_t round_to_codes(const Four& values, float inverse) {
  constexpr float kBase = 12582912.0f;
  uint32_t bits[4];
  for (int i = 0; i < 4; ++i) bits[i] = __float_as_uint(__fmaf_rn(values.at[i], inverse, kBase));
  return __byte_perm(__byte_perm(bits[0], bits[1], 0x0040), __byte_perm(bits[2], bits[3], 0x0040),
                     0x5410);
}

/// Stores four columns of token `token` of a kQ8 tile. Eight lanes one after another, the first a
/// multiple of 8, have the 32 columns of a step; all lanes of the warp call it.
__device__ __forceinline__ void store_codes(const PreparedActivations& tile, int token, int column,
                                            const Four& values) {
  constexpr uint32_t kAll = 0xffffffffu;
  constexpr float kLeast = 1e-30f;  // below it 127 / largest may be infinite: all codes are 0
  float largest = 0.0f;
  for (int i = 0; i < 4; ++i) largest = fmaxf(largest, fabsf(values.at[i]));
  for (int distance = 1; distance < 8; distance *= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAll, largest, distance));
  }
  const float inverse = largest < kLeast ? 0.0f : __fdiv_rn(127.0f, largest);
  const float dx = largest < kLeast ? 0.0f : __fdiv_rn(largest, 127.0f);
  const uint32_t codes = round_to_codes(values, inverse);
  int sum = __dp4a(static_cast<int>(codes), 0x01010101, 0);
  sum += __shfl_xor_sync(kAll, sum, 1);
  sum += __shfl_xor_sync(kAll, sum, 2);
  const int sum_of_32 = sum + __shfl_xor_sync(kAll, sum, 4);

  const int chunk = column / kChunkColumns, step = column / 32 % 4, quad = column / 4 % 8;
  std::byte* at = tile.values + chunk * tile.chunk_bytes() + token * kTokenCodeBytes;
  *reinterpret_cast<uint32_t*>(at + quad % 4 * 32 + step * 8 + quad / 4 * 4) = codes;
  float* scales = tile.scales + chunk * tile.chunk_floats() + token / 2 * kPairFloats + token % 2;
  if (quad == 0) {
    scales[step * 2] = dx;
    scales[8 + step * 2] = __fmul_rn(dx, static_cast<float>(sum_of_32));
  }
  if (quad % 4 == 0) scales[16 + step * 4 + quad / 4 * 2] = __fmul_rn(dx, static_cast<float>(sum));
}

/// Stores four columns of a row of another kind.
template <ActivationKind kKind>
__device__ __forceinline__ void store_floats(std::byte* row, int column, const Four& values) {
  if constexpr (kKind == ActivationKind::kF32) {
    reinterpret_cast<float4*>(row)[column / 4] =
        make_float4(values.at[0], values.at[1], values.at[2], values.at[3]);
  } else {
    uint32_t bits[4];
    for (int i = 0; i < 4; ++i) {
      bits[i] = kKind == ActivationKind::kBF16
                    ? __bfloat16_as_ushort(__float2bfloat16_rn(values.at[i]))
                    : __half_as_ushort(__float2half_rn(values.at[i]));
    }
    reinterpret_cast<uint2*>(row)[column / 4] =
        make_uint2(bits[0] | bits[1] << 16, bits[2] | bits[3] << 16);
  }
}

/// Stores four columns of a token. `tile` is where the token's tile (kQ8) or the first token lies.
template <ActivationKind kKind>
__device__ __forceinline__ void store_prepared(const PreparedActivations& tile, int token,
                                               int column, int64_t columns, const Four& values) {
  if constexpr (kKind == ActivationKind::kQ8) {
    store_codes(tile, token, column, values);
  } else {
    constexpr int kBytes = kKind == ActivationKind::kF32 ? 4 : 2;
    store_floats<kKind>(tile.values + token * columns * kBytes, column, values);
  }
}

}  // namespace neuros::kernels::cuda
