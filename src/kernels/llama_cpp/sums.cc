#include "kernels/llama_cpp/sums.h"

#include <array>
#include <cmath>

namespace neuros::kernels::llama_cpp {
namespace {

constexpr size_t kLanes = 16, kBlock = 4 * kLanes;

/// The sum of all lanes: the upper half is added to the lower until one is left.
template <size_t kCount>
float add_halves(std::array<float, kCount>& lanes) {
  for (size_t half = kCount / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <size_t kCount>
float dot_lanes(const float* a, const float* b, size_t size) {
  std::array<float, kCount> lanes{};
  for (size_t at = 0; at < size; at += kCount) {
    for (size_t i = 0; i < kCount; ++i) lanes[i] = std::fma(a[at + i], b[at + i], lanes[i]);
  }
  return add_halves(lanes);
}

}  // namespace

float dot_blocks(std::span<const float> a, const float* b) {
  return dot_lanes<kBlock>(a.data(), b, whole_blocks(a.size()));
}

float dot(std::span<const float> a, const float* b) {
  float sum = dot_blocks(a, b);
  for (size_t i = whole_blocks(a.size()); i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

float dot_in_batch(std::span<const float> a, const float* b) {
  return dot_lanes<kLanes>(a.data(), b, a.size());
}

void rms_norm_row(std::span<const float> x, const float* weight, float epsilon, float* out) {
  double squares = 0.0;
  for (const float value : x) squares += static_cast<double>(value * value);
  const auto mean = static_cast<float>(squares / static_cast<double>(x.size()));
  const float factor = 1.0f / std::sqrt(mean + epsilon);
  for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] * factor * weight[i];
}

}  // namespace neuros::kernels::llama_cpp
