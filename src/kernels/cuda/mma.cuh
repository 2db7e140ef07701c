#pragma once

/// The matrix instructions of one warp, with the operands of PTX ISA, "Warp Level Matrix
/// Instructions": rows of A are weights, columns of B are eight tokens. Lane 4 g + t gives rows g
/// and g + 8 of A and token g of B, and holds of the result
///   c[0], c[1]: row g, tokens 2 t and 2 t + 1; c[2], c[3]: row g + 8, the same.

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda {

// volatile: no instruction may move into a branch that some lanes do not take.

/// Sums of int8 products start here and not at 0: the bits of the result are then those of the
/// float kSumBase + sum, so that one subtraction makes a float of it (for |sum| < 2^22).
inline constexpr int kSumBaseBits = 0x4b400000;
inline constexpr float kSumBase = 12582912.0f;

__device__ __forceinline__ float sum_as_float(int sum) {
  return __fsub_rn(__int_as_float(sum), kSumBase);
}

#if __CUDA_ARCH__ >= 800

/// 32 columns; weights unsigned or signed bytes, activations signed.
template <bool kUnsigned>
__device__ __forceinline__ void mma_32_columns(int (&c)[4], const uint32_t (&a)[4], uint2 b) {
  if constexpr (kUnsigned) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(kSumBaseBits));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(kSumBaseBits));
  }
}

/// 16 columns.
template <bool kUnsigned>
__device__ __forceinline__ void mma_16_columns(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  if constexpr (kUnsigned) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%7,%7,%7,%7};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a0), "r"(a1), "r"(b), "r"(kSumBaseBits));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%7,%7,%7,%7};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a0), "r"(a1), "r"(b), "r"(kSumBaseBits));
  }
}

/// 16 columns of 16-bit floats, added to c.
__device__ __forceinline__ void mma_bf16(float (&c)[4], uint4 a, uint2 b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y));
}

__device__ __forceinline__ void mma_f16(float (&c)[4], uint4 a, uint2 b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y));
}

#else  // Turing: the same of smaller instructions

/// 8 rows, 16 columns, added to c0 and c1.
template <bool kUnsigned>
__device__ __forceinline__ void mma_8_rows(int& c0, int& c1, uint32_t a, uint32_t b) {
  if constexpr (kUnsigned) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                 : "+r"(c0), "+r"(c1)
                 : "r"(a), "r"(b));
  } else {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                 : "+r"(c0), "+r"(c1)
                 : "r"(a), "r"(b));
  }
}

template <bool kUnsigned>
__device__ __forceinline__ void mma_16_columns(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  c[0] = c[1] = c[2] = c[3] = kSumBaseBits;
  mma_8_rows<kUnsigned>(c[0], c[1], a0, b);
  mma_8_rows<kUnsigned>(c[2], c[3], a1, b);
}

template <bool kUnsigned>
__device__ __forceinline__ void mma_32_columns(int (&c)[4], const uint32_t (&a)[4], uint2 b) {
  mma_16_columns<kUnsigned>(c, a[0], a[1], b.x);
  mma_8_rows<kUnsigned>(c[0], c[1], a[2], b.y);
  mma_8_rows<kUnsigned>(c[2], c[3], a[3], b.y);
}

__device__ __forceinline__ void mma_f16(float (&c)[4], uint4 a, uint2 b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x), "r"(a.y), "r"(b.x));
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.z), "r"(a.w), "r"(b.y));
}

/// c += the products of two pairs of bf16.
__device__ __forceinline__ float fma_pair(float c, uint32_t a, uint32_t b) {
  c = __fmaf_rn(__uint_as_float(a << 16), __uint_as_float(b << 16), c);
  return __fmaf_rn(__uint_as_float(a & 0xffff0000u), __uint_as_float(b & 0xffff0000u), c);
}

/// Turing has no bf16: lanes hand their operands round and multiply by themselves. Its memory is
/// slow enough for that.
__device__ __forceinline__ void mma_bf16(float (&c)[4], uint4 a, uint2 b) {
  const int lane = threadIdx.x % 32, row = lane / 4 * 4, token = lane % 4 * 8;
  for (int t = 0; t < 4; ++t) {
    const auto from = [](uint32_t value, int source) {
      return __shfl_sync(0xffffffffu, value, source);
    };
    const uint32_t low[2]{from(b.x, token + t), from(b.x, token + 4 + t)};
    const uint32_t high[2]{from(b.y, token + t), from(b.y, token + 4 + t)};
    const uint32_t top[2]{from(a.x, row + t), from(a.z, row + t)};
    const uint32_t bottom[2]{from(a.y, row + t), from(a.w, row + t)};
    for (int i = 0; i < 2; ++i) {
      c[i] = fma_pair(fma_pair(c[i], top[0], low[i]), top[1], high[i]);
      c[2 + i] = fma_pair(fma_pair(c[2 + i], bottom[0], low[i]), bottom[1], high[i]);
    }
  }
}

#endif

}  // namespace neuros::kernels::cuda
