#pragma once

#include "base/host_device.h"

#include <cmath>

namespace neuros::kernels::llama_cpp {

/// exp(x) by the polynomial of Arm's optimized routines (its vector expf), within 2 ulp. All
/// products that are added are fused here, so that no compiler can choose.
NEUROS_HOST_DEVICE inline float vector_exp(float x) {
  constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  constexpr float kRoundToInteger = 0x1.8p23f;
  const float n = std::fma(x, kLog2E, kRoundToInteger) - kRoundToInteger;
  if (std::fabs(n) > 192.0f) return n < 0.0f ? 0.0f : HUGE_VALF;
  const float b = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, x));
  const float square = b * b;
  const float low = std::fma(0x1.555e66p-3f, b, 0x1.fffdb6p-2f);
  const float high = std::fma(0x1.0e4020p-7f, b, 0x1.573e2ep-5f);
  const float linear = std::fma(0x1.ffffecp-1f, b, 1.0f);
  return std::ldexp(std::fma(std::fma(high, square, low), square, linear), static_cast<int>(n));
}

}  // namespace neuros::kernels::llama_cpp
