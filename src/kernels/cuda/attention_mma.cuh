#pragma once

/// Tensor-core products and the copies that feed them, for attention (PTX ISA, "mma.m16n8k16",
/// "ldmatrix", "cp.async"). A fragment's lane is 4 g + t: rows g and g + 8, columns 2 t, 2 t + 1.
/// sm_75 has half the depth and no asynchronous copy, and no bf16: its kernels never run there.

#include "kernels/cuda/async_copy.cuh"

#include <cstdint>
#include <cstring>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda {

/// A 16 x 16 operand A: {row g, k 2t..}, {row g+8, the same}, {row g, k 2t+8..}, {row g+8, ...}.
struct FragmentA {
  uint32_t x[4];
};
/// A 16 x 8 sum: row g columns 2t, 2t+1, then row g+8.
struct FragmentC {
  float x[4];
};

/// c += a b, b being 16 deep and 8 wide: {k 2t, 2t+1 of column g}, {k 2t+8, 2t+9}.
__device__ __forceinline__ void multiply(FragmentC& c, const FragmentA& a, uint32_t b0, uint32_t b1,
                                         __half) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c.x[0]), "+f"(c.x[1]), "+f"(c.x[2]), "+f"(c.x[3])
      : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b0), "r"(b1));
#else
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c.x[0]), "+f"(c.x[1]), "+f"(c.x[2]), "+f"(c.x[3])
        : "r"(a.x[2 * half]), "r"(a.x[2 * half + 1]), "r"(half == 0 ? b0 : b1));
  }
#endif
}
__device__ __forceinline__ void multiply(FragmentC& c, const FragmentA& a, uint32_t b0, uint32_t b1,
                                         __nv_bfloat16) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c.x[0]), "+f"(c.x[1]), "+f"(c.x[2]), "+f"(c.x[3])
      : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b0), "r"(b1));
#else
  __trap();
#endif
}

/// Two floats rounded to T; the first in the lower half.
__device__ __forceinline__ uint32_t pack(float low, float high, __half) {
  const __half2 both = __floats2half2_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &both, sizeof(bits));
  return bits;
}
__device__ __forceinline__ uint32_t pack(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &both, sizeof(bits));
  return bits;
}
__device__ __forceinline__ float2 unpack(uint32_t bits, __half) {
  __half2 both;
  memcpy(&both, &bits, sizeof(both));
  return __half22float2(both);
}
__device__ __forceinline__ float2 unpack(uint32_t bits, __nv_bfloat16) {
  return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)};
}

/// Two floats as sums of two T each: `coarse` the rounded ones, `fine` what rounding took.
template <typename T>
__device__ __forceinline__ void pack_in_two(float low, float high, uint32_t& coarse,
                                            uint32_t& fine) {
  coarse = pack(low, high, T{});
  const float2 rounded = unpack(coarse, T{});
  fine = pack(low - rounded.x, high - rounded.y, T{});
}

/// Two operands B out of a row-major [16 (depth), 16 (columns)] block of shared memory; `at` is
/// this lane's row of it: row lane % 16, column 8 (lane / 16). x[0], x[1] are columns 0 to 7.
struct FragmentsB {
  uint32_t x[4];
};
__device__ __forceinline__ FragmentsB load_transposed(const void* at) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(at));
  FragmentsB b;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(b.x[0]), "=r"(b.x[1]), "=r"(b.x[2]), "=r"(b.x[3])
               : "r"(address)
               : "memory");
  return b;
}

/// Copies 16 bytes to shared memory, or zeros where not `valid` (nothing is read then).
__device__ __forceinline__ void copy_16(void* to, const void* from, bool valid) {
#if __CUDA_ARCH__ >= 800
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
#else
  *static_cast<uint4*>(to) = valid ? *static_cast<const uint4*>(from) : uint4{0, 0, 0, 0};
#endif
}
/// 2^x to 22 bits; 2^-inf = 0, 2^0 = 1.
__device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace neuros::kernels::cuda
