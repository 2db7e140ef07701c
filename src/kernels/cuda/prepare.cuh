#pragma once

/// Preparing activations (activations.h) by 512 threads: what the kernel of prepare.cu and decode
/// kernels that prepare for themselves have in common. The same float operations in the
/// same order in both, spelled so that the compiler fuses none: a token's bits do not depend on who
/// prepared it.

#include "kernels/cuda/activation_pieces.h"
#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/decode_shape.h"
#include "kernels/cuda/linear.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda {

/// How the threads that prepare meet, where they are the whole block.
struct WholeBlock {
  static __device__ __forceinline__ void sync() { __syncthreads(); }
};

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
  /// Brings the norm's weights from `first` on close, by `threads` threads.
  __device__ void prefetch_norm(int first, int threads = kBlockThreads) const {
    if (norm_weight == nullptr) return;
    for (int i = first + 32 * static_cast<int>(threadIdx.x); i < cols; i += 32 * threads) {
      prefetch_line(norm_weight + i);
    }
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
  Four out{};
  for (int i = 0; i < 4; ++i) {
    if (column + i < cols) out.at[i] = __ldcg(row + column + i);
  }
  return out;
}

/// What a thread has of a run of columns: kFours times four columns, 2048 apart. `thread`: its
/// place among the 512, for one that does the work of others too (half_preparation.cuh).
template <int kFours>
struct RowPart {
  Four four[kFours];

  static __device__ __forceinline__ int column(int first, int i,
                                               int thread = static_cast<int>(threadIdx.x)) {
    return first + 4 * (i * kBlockThreads + thread);
  }

  /// Of the columns from `first` on, zeros behind the row's end. Rows lie on any boundary; where it
  /// is one of 16 bytes all loads are on their way together. Past the first-level cache: another
  /// block may have written the row since this kernel started.
  /// kAligned: it surely is one.
  template <bool kAligned = false>
  __device__ __forceinline__ void load(const float* row, int first, int cols,
                                       int thread = static_cast<int>(threadIdx.x)) {
    if (kAligned || (reinterpret_cast<uintptr_t>(row) % 16 == 0 && cols % 4 == 0)) {
      const auto* quads = reinterpret_cast<const float4*>(row);
#pragma unroll
      for (int i = 0; i < kFours; ++i) {
        float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        const int at = column(first, i, thread);
        if (at < cols) quad = __ldcg(quads + at / 4);
        four[i] = {{quad.x, quad.y, quad.z, quad.w}};
      }
    } else {
#pragma unroll
      for (int i = 0; i < kFours; ++i) four[i] = load_four(row, column(first, i, thread), cols);
    }
  }
};

inline constexpr int kPartFours = 4;
using WidePart = RowPart<kPartFours>;
inline constexpr int kWideColumns = 4 * kPartFours * kBlockThreads;

/// What all values of a row are multiplied by.
struct RowFactors {
  float norm = 1.0f;   ///< of RMSNorm
  float scale = 1.0f;  ///< power of two; kF16 only
};

/// The sum of what the warps have, as a tree: no long chain of additions.
template <int kFirst = 0, int kCount = kBlockWarps>
__device__ __forceinline__ float sum_of_warps(const float (&of_warp)[kBlockWarps]) {
  if constexpr (kCount == 1) {
    return of_warp[kFirst];
  } else {
    return __fadd_rn(sum_of_warps<kFirst, kCount / 2>(of_warp),
                     sum_of_warps<kFirst + kCount / 2, kCount / 2>(of_warp));
  }
}

/// Sum (x) and maximum (y) over the 512, of whom each thread has kCount, 512 / kCount apart.
template <typename Threads, int kCount>
__device__ __forceinline__ float2 reduce_threads(const float2 (&own)[kCount]) {
  __shared__ float2 of_warp[kBlockWarps];
  float2 of_lanes[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    float sum = own[i].x, largest = own[i].y;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, distance));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    of_lanes[i] = make_float2(sum, largest);
  }
  Threads::sync();  // the values of an earlier call have been read
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int warp = static_cast<int>(threadIdx.x) / kLanes + i * (kBlockWarps / kCount);
    if (threadIdx.x % kLanes == 0) of_warp[warp] = of_lanes[i];
  }
  Threads::sync();
  float sums[kBlockWarps], largest = of_warp[0].y;
#pragma unroll
  for (int warp = 0; warp < kBlockWarps; ++warp) {
    sums[warp] = of_warp[warp].x;
    largest = fmaxf(largest, of_warp[warp].y);
  }
  return make_float2(sum_of_warps(sums), largest);
}
template <typename Threads>
__device__ __forceinline__ float2 reduce_block(float sum, float largest) {
  const float2 own[1]{make_float2(sum, largest)};
  return reduce_threads<Threads>(own);
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

/// Adds a part's squares and largest magnitude of x * weight.
template <ActivationKind kKind, int kFours>
__device__ __forceinline__ void measure(const RowPart<kFours>& x, const RowPart<kFours>& weight,
                                        bool normed, float& squares, float& largest) {
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float value = x.four[i].at[k];
      squares = __fmaf_rn(value, value, squares);
      if constexpr (kKind == ActivationKind::kF16) {
        largest = fmaxf(largest, fabsf(normed ? __fmul_rn(value, weight.four[i].at[k]) : value));
      }
    }
  }
}

/// RMSNorm's factor of a row, from the sum of its squares: within 4 units in the last place.
__device__ __forceinline__ float norm_factor(float squares, const SourceRows& source) {
  const float mean = __fdividef(squares, static_cast<float>(source.cols));
  return rsqrtf(__fadd_rn(mean, source.epsilon));
}

/// All threads call it, with their part of the row's first columns and of the norm's weights there.
template <ActivationKind kKind, typename Threads = WholeBlock, bool kAligned = false>
__device__ __forceinline__ RowFactors row_factors(const SourceRows& source, const float* row,
                                                  const WidePart& x, const WidePart& weight) {
  const bool normed = source.norm_weight != nullptr;
  RowFactors factors;
  if (!normed && kKind != ActivationKind::kF16) return factors;
  float squares = 0.0f, largest = 0.0f;
  measure<kKind>(x, weight, normed, squares, largest);
  for (int first = kWideColumns; first < source.cols; first += kWideColumns) {
    WidePart next_x, next_weight{};
    next_x.template load<kAligned>(row, first, source.cols);
    if (normed && kKind == ActivationKind::kF16) {
      next_weight.template load<kAligned>(source.norm_weight, first, source.cols);
    }
    measure<kKind>(next_x, next_weight, normed, squares, largest);
  }
  const float2 all = reduce_block<Threads>(squares, largest);
  if (normed) factors.norm = norm_factor(all.x, source);
  if (kKind == ActivationKind::kF16) factors.scale = f16_scale(__fmul_rn(all.y, factors.norm));
  return factors;
}

/// Four values before they are rounded.
__device__ __forceinline__ Four scaled(const Four& x, const Four& weight, bool normed,
                                       RowFactors factors) {
  Four out;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float value = x.at[i];
    if (normed) value = __fmul_rn(__fmul_rn(value, factors.norm), weight.at[i]);
    out.at[i] = __fmul_rn(value, factors.scale);
  }
  return out;
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

/// value / 127, rounded to nearest: the quotient by the rounded inverse, corrected once.
__device__ __forceinline__ float divide_by_127(float value) {
  constexpr float kInverse = 1.0f / 127.0f;
  const float quotient = __fmul_rn(value, kInverse);
  return __fmaf_rn(__fmaf_rn(-127.0f, quotient, value), kInverse, quotient);
}

/// Four columns as kQ8 has them.
struct RoundedFour {
  uint32_t codes;
  float dx;                  ///< of the 32 columns around them
  int sum_of_16, sum_of_32;  ///< codes of the 16 and 32 columns around them
};

/// 1 / value, for values that are no denormal numbers.
__device__ __forceinline__ float approximate_inverse(float value) {
  float inverse;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(value));
  return inverse;
}

/// kCount times four columns, whose chains of instructions run side by side: no branches. Eight
/// lanes one after another, the first a multiple of 8, have the 32 columns of a step. All lanes of
/// the warp call it.
template <int kCount>
__device__ __forceinline__ void round_fours(const Four (&values)[kCount],
                                            RoundedFour (&out)[kCount]) {
  constexpr uint32_t kAll = 0xffffffffu;
  constexpr float kLeast = 1e-30f;  // below it 127 / largest may be infinite: codes get smaller
  float largest[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const Four& four = values[i];
    largest[i] = fmaxf(fmaxf(fabsf(four.at[0]), fabsf(four.at[1])),
                       fmaxf(fabsf(four.at[2]), fabsf(four.at[3])));
  }
#pragma unroll
  for (int distance = 1; distance < 8; distance *= 2) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      largest[i] = fmaxf(largest[i], __shfl_xor_sync(kAll, largest[i], distance));
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float inverse = __fmul_rn(127.0f, approximate_inverse(fmaxf(largest[i], kLeast)));
    out[i].dx = divide_by_127(largest[i]);
    out[i].codes = round_to_codes(values[i], inverse);
    out[i].sum_of_16 = __dp4a(static_cast<int>(out[i].codes), 0x01010101, 0);
  }
#pragma unroll
  for (int distance = 1; distance < 4; distance *= 2) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      out[i].sum_of_16 += __shfl_xor_sync(kAll, out[i].sum_of_16, distance);
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    out[i].sum_of_32 = out[i].sum_of_16 + __shfl_xor_sync(kAll, out[i].sum_of_16, 4);
  }
}
__device__ __forceinline__ RoundedFour round_four(const Four& values) {
  const Four one[1]{values};
  RoundedFour out[1];
  round_fours(one, out);
  return out[0];
}

/// Stores what four columns give of a token's scales; scale(i): of the 32 floats of its pair.
template <typename Scale>
__device__ __forceinline__ void store_scales(Scale scale, int token, int column,
                                             const RoundedFour& four) {
  const int step = column / 32 % 4, quad = column / 4 % 8;
  if (quad == 0) {
    scale(step * 2 + token % 2) = four.dx;
    scale(8 + step * 2 + token % 2) = __fmul_rn(four.dx, static_cast<float>(four.sum_of_32));
  }
  if (quad % 4 == 0) {
    scale(16 + step * 4 + quad / 4 * 2 + token % 2) =
        __fmul_rn(four.dx, static_cast<float>(four.sum_of_16));
  }
}

/// Stores four columns of token `token` of a kQ8 tile.
__device__ __forceinline__ void store_four(const PreparedActivations& tile, int token, int column,
                                           const RoundedFour& four) {
  const int chunk = column / kChunkColumns, step = column / 32 % 4, quad = column / 4 % 8;
  std::byte* at = tile.values + chunk * tile.chunk_bytes() + token * kTokenCodeBytes;
  *reinterpret_cast<uint32_t*>(at + quad % 4 * 32 + step * 8 + quad / 4 * 4) = four.codes;
  float* scales = tile.scales + chunk * tile.chunk_floats() + token / 2 * kPairFloats;
  store_scales([&](int i) -> float& { return scales[i]; }, token, column, four);
}

/// Four columns of 16-bit floats, the first in the lowest bits.
template <ActivationKind kKind>
__device__ __forceinline__ uint2 rounded_four(const Four& values) {
  uint32_t bits[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    bits[i] = kKind == ActivationKind::kBF16
                  ? __bfloat16_as_ushort(__float2bfloat16_rn(values.at[i]))
                  : __half_as_ushort(__float2half_rn(values.at[i]));
  }
  return make_uint2(bits[0] | bits[1] << 16, bits[2] | bits[3] << 16);
}

/// Stores four columns of a row of another kind.
template <ActivationKind kKind>
__device__ __forceinline__ void store_four(std::byte* row, int column, const Four& values) {
  if constexpr (kKind == ActivationKind::kF32) {
    reinterpret_cast<float4*>(row)[column / 4] =
        make_float4(values.at[0], values.at[1], values.at[2], values.at[3]);
  } else {
    reinterpret_cast<uint2*>(row)[column / 4] = rounded_four<kKind>(values);
  }
}

/// Rounds and stores a token's columns from `first` on, none from `columns` on. `tile` is where the
/// token's tile (kQ8) or the first token lies. All threads of the block call it.
template <ActivationKind kKind, int kFours>
__device__ __forceinline__ void store_part(const PreparedActivations& tile, int token, int first,
                                           int columns, const Four (&values)[kFours],
                                           int thread = static_cast<int>(threadIdx.x)) {
  using Part = RowPart<kFours>;
  if constexpr (kKind == ActivationKind::kQ8) {
    RoundedFour rounded[kFours];  // all before the first store: their chains run side by side
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      if (first + 4 * i * kBlockThreads < columns) rounded[i] = round_four(values[i]);
    }
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      const int column = Part::column(first, i, thread);
      if (column < columns) store_four(tile, token, column, rounded[i]);
    }
  } else {
    constexpr int kBytes = kKind == ActivationKind::kF32 ? 4 : 2;
    std::byte* row = tile.values + static_cast<int64_t>(token) * columns * kBytes;
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      const int column = Part::column(first, i, thread);
      if (column < columns) store_four<kKind>(row, column, values[i]);
    }
  }
}

}  // namespace neuros::kernels::cuda
