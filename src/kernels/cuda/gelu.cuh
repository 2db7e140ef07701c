#pragma once

namespace neuros::kernels::cuda {

/// x / 2 * (1 + erf(x / sqrt(2))) to 3e-7 * |x|, far less than f16 rounds results above 1e-3 by.
/// erfc(z) = polynomial(1 / (1 + p z)) * e^(-z^2) for z >= 0, to 1.5e-7 (Abramowitz and Stegun,
/// Handbook of Mathematical Functions, 7.1.26; its coefficients are halved here, its p divided by
/// sqrt(2)).
__device__ __forceinline__ float gelu(float x) {
  const float size = fabsf(x);
  float t, power;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(t) : "f"(__fmaf_rn(0.23164189f, size, 1.0f)));
  // log2(e) / 2
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(__fmul_rn(x * x, -0.72134752f)));
  float half_tail = __fmaf_rn(t, 0.5307027145f, -0.7265760135f);
  half_tail = __fmaf_rn(t, half_tail, 0.7107068705f);
  half_tail = __fmaf_rn(t, half_tail, -0.142248368f);
  half_tail = __fmaf_rn(t, half_tail, 0.127414796f);
  half_tail = __fmul_rn(__fmul_rn(half_tail, t), power);
  return __fmaf_rn(-size, half_tail, fmaxf(x, 0.0f));
}

}  // namespace neuros::kernels::cuda
