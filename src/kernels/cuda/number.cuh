#pragma once

/// The element types of keys and values on the device: float to and from 16 bits, round to nearest
/// even.

#include "base/check.h"
#include "base/dtype.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace neuros::kernels::cuda {

__device__ __forceinline__ float to_float(float value) {
  return value;
}
__device__ __forceinline__ float to_float(__half value) {
  return __half2float(value);
}
__device__ __forceinline__ float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

template <typename T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ __half from_float<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

/// Calls use(T{}) with the type that `dtype` is on the device: f32, f16 or bf16.
template <typename Use>
void with_number(base::DType dtype, Use use) {
  if (dtype == base::DType::kF16) return use(__half{});
  if (dtype == base::DType::kBF16) return use(__nv_bfloat16{});
  CHECK(dtype == base::DType::kF32, "keys and values are f16, bf16 or f32");
  use(float{});
}

}  // namespace neuros::kernels::cuda
