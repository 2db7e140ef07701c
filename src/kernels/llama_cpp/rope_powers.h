#pragma once

#include <cmath>
#include <span>

namespace neuros::kernels::llama_cpp {

/// Whether rotary frequencies are the powers of the second: true unless the context is scaled.
/// Their angles are then made by repeated multiplication, which rounds each time.
inline bool are_powers(std::span<const float> frequencies) {
  constexpr float kRounding = 1e-5f;
  float power = 1.0f;
  for (const float frequency : frequencies) {
    if (std::abs(frequency - power) > kRounding * power) return false;
    power *= frequencies.size() > 1 ? frequencies[1] : 1.0f;
  }
  return true;
}

}  // namespace neuros::kernels::llama_cpp
