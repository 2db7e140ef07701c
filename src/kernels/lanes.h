#pragma once

/// Four floats at a time, the same result on every processor: for the searches of quantise(), which
/// must not depend on where a file was made.

#include <cstring>

namespace neuros::kernels {

using Lanes = float __attribute__((vector_size(16)));
inline constexpr int kLanes = 4;

inline Lanes load(const float* from) {
  Lanes out;
  std::memcpy(&out, from, sizeof(out));
  return out;
}
inline void store(Lanes value, float* to) {
  std::memcpy(to, &value, sizeof(value));
}
inline Lanes splat(float value) {
  return Lanes{value, value, value, value};
}
inline Lanes lower(Lanes a, Lanes b) {
  return a < b ? a : b;
}
inline Lanes higher(Lanes a, Lanes b) {
  return a > b ? a : b;
}
inline Lanes clamp(Lanes value, Lanes low, Lanes high) {
  return lower(higher(value, low), high);
}
inline float sum(Lanes a) {
  return (a[0] + a[2]) + (a[1] + a[3]);
}

/// To the nearest integer, ties to even; |value| <= 2^22.
inline Lanes rounded(Lanes value) {
  const Lanes magic = splat(0x1.8p23f);
  return (value + magic) - magic;
}

}  // namespace neuros::kernels
