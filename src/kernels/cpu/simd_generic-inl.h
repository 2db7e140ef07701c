// The vector words of linear_tiles-inl.h in plain C++, for processors that have no level of their
// own: 16 lanes as arrays, in loops the compiler vectorises for its baseline. Included inside a
// namespace; no include guard, on purpose.

struct F {
  alignas(16) float v[16];
};
struct I {
  alignas(16) int32_t v[16];
};
inline constexpr int kLanes = 16;

#define NEUROS_LANES for (int lane = 0; lane < 16; ++lane)

NEUROS_INLINE F f_set(float value) {
  F out;
  NEUROS_LANES out.v[lane] = value;
  return out;
}
NEUROS_INLINE F f_zero() {
  return f_set(0.0f);
}
NEUROS_INLINE F f_load(const void* from) {
  F out;
  std::memcpy(out.v, from, sizeof(out.v));
  return out;
}
NEUROS_INLINE void f_store(float* to, const F& a) {
  std::memcpy(to, a.v, sizeof(a.v));
}
NEUROS_INLINE F f_add(F a, const F& b) {
  NEUROS_LANES a.v[lane] += b.v[lane];
  return a;
}
NEUROS_INLINE F f_sub(F a, const F& b) {
  NEUROS_LANES a.v[lane] -= b.v[lane];
  return a;
}
NEUROS_INLINE F f_mul(F a, const F& b) {
  NEUROS_LANES a.v[lane] *= b.v[lane];
  return a;
}
NEUROS_INLINE F f_div(F a, const F& b) {
  NEUROS_LANES a.v[lane] /= b.v[lane];
  return a;
}
NEUROS_INLINE F f_max(F a, const F& b) {
  NEUROS_LANES a.v[lane] = a.v[lane] > b.v[lane] ? a.v[lane] : b.v[lane];
  return a;
}
NEUROS_INLINE F f_min(F a, const F& b) {
  NEUROS_LANES a.v[lane] = a.v[lane] < b.v[lane] ? a.v[lane] : b.v[lane];
  return a;
}
NEUROS_INLINE F f_abs(F a) {
  NEUROS_LANES a.v[lane] = std::fabs(a.v[lane]);
  return a;
}
/// a * b + c, rounded twice.
NEUROS_INLINE F f_fma(const F& a, const F& b, F c) {
  NEUROS_LANES c.v[lane] += a.v[lane] * b.v[lane];
  return c;
}
/// c - a * b
NEUROS_INLINE F f_fnma(const F& a, const F& b, F c) {
  NEUROS_LANES c.v[lane] -= a.v[lane] * b.v[lane];
  return c;
}
NEUROS_INLINE float f_reduce_max(const F& a) {
  float out = a.v[0];
  NEUROS_LANES out = a.v[lane] > out ? a.v[lane] : out;
  return out;
}
NEUROS_INLINE float f_reduce_add(const F& a) {
  float out = 0.0f;
  NEUROS_LANES out += a.v[lane];
  return out;
}
NEUROS_INLINE F f_from_i(const I& a) {
  F out;
  NEUROS_LANES out.v[lane] = static_cast<float>(a.v[lane]);
  return out;
}
NEUROS_INLINE F f_cast_i(const I& a) {
  return f_load(a.v);
}
NEUROS_INLINE F f_load_half(const std::byte* from) {
  uint16_t bits[16];
  std::memcpy(bits, from, sizeof(bits));
  F out;
  NEUROS_LANES out.v[lane] = base::f16_to_float(bits[lane]);
  return out;
}

NEUROS_INLINE I i_set32(int32_t value) {
  I out;
  NEUROS_LANES out.v[lane] = value;
  return out;
}
NEUROS_INLINE I i_zero() {
  return i_set32(0);
}
NEUROS_INLINE I i_set8(int value) {
  return i_set32(value * 0x01010101);
}
NEUROS_INLINE I i_load(const std::byte* from) {
  I out;
  std::memcpy(out.v, from, sizeof(out.v));
  return out;
}
NEUROS_INLINE void i_store(std::byte* to, const I& a) {
  std::memcpy(to, a.v, sizeof(a.v));
}
NEUROS_INLINE I i_cast_f(const F& a) {
  I out;
  std::memcpy(out.v, a.v, sizeof(a.v));
  return out;
}
NEUROS_INLINE I i_load_u8(const std::byte* from) {
  I out;
  NEUROS_LANES out.v[lane] = std::to_integer<int32_t>(from[lane]);
  return out;
}
NEUROS_INLINE I i_load_s8(const std::byte* from) {
  I out;
  NEUROS_LANES out.v[lane] = static_cast<int8_t>(from[lane]);
  return out;
}
NEUROS_INLINE I i_broadcast32(const void* from) {
  int32_t value;
  std::memcpy(&value, from, sizeof(value));
  return i_set32(value);
}
NEUROS_INLINE I i_and(I a, const I& b) {
  NEUROS_LANES a.v[lane] &= b.v[lane];
  return a;
}
NEUROS_INLINE I i_or(I a, const I& b) {
  NEUROS_LANES a.v[lane] |= b.v[lane];
  return a;
}
NEUROS_INLINE I i_add(I a, const I& b) {
  NEUROS_LANES a.v[lane] += b.v[lane];
  return a;
}
template <int n>
NEUROS_INLINE I i_shl(I a) {
  NEUROS_LANES a.v[lane] = static_cast<int32_t>(static_cast<uint32_t>(a.v[lane]) << n);
  return a;
}
template <int n>
NEUROS_INLINE I i_shr(I a) {
  NEUROS_LANES a.v[lane] = static_cast<int32_t>(static_cast<uint32_t>(a.v[lane]) >> n);
  return a;
}
NEUROS_INLINE I i_lookup(const uint8_t* table, const I& index) {
  uint8_t bytes[64];
  std::memcpy(bytes, index.v, sizeof(bytes));
  for (uint8_t& byte : bytes) byte = table[byte & 15];
  I out;
  std::memcpy(out.v, bytes, sizeof(bytes));
  return out;
}
NEUROS_INLINE int32_t i_reduce_add(const I& a) {
  int32_t out = 0;
  NEUROS_LANES out += a.v[lane];
  return out;
}
/// To the nearest integer, ties to even: adding 1.5 * 2^23 leaves no bits for the fraction.
NEUROS_INLINE I i_round(const F& a) {
  I out;
  NEUROS_LANES out.v[lane] =
      std::bit_cast<int32_t>(a.v[lane] + 12582912.0f) - std::bit_cast<int32_t>(12582912.0f);
  return out;
}
NEUROS_INLINE void i_store_s8(int8_t* to, const I& a) {
  NEUROS_LANES to[lane] = static_cast<int8_t>(a.v[lane]);
}
NEUROS_INLINE void prefetch(const std::byte*) {}

/// sum + codes (64 unsigned bytes) times activations (int8), in groups of four.
template <bool wide>
NEUROS_INLINE I dot4_vector(I sum, const I& codes, const I& activations) {
  NEUROS_LANES {
    const auto code = static_cast<uint32_t>(codes.v[lane]);
    const auto x = static_cast<uint32_t>(activations.v[lane]);
    for (int shift = 0; shift < 32; shift += 8) {
      sum.v[lane] += static_cast<int32_t>((code >> shift) & 255u) * static_cast<int8_t>(x >> shift);
    }
  }
  return sum;
}

/// The same with the four int8 at x in every lane.
template <bool wide>
NEUROS_INLINE I dot4(const I& sum, const I& codes, const int8_t* x) {
  return dot4_vector<wide>(sum, codes, i_broadcast32(x));
}

/// sum + pairs of int16 times two int16 at x.
NEUROS_INLINE I dot2(I sum, const I& pairs, const int16_t* x) {
  NEUROS_LANES {
    const auto word = static_cast<uint32_t>(pairs.v[lane]);
    sum.v[lane] +=
        static_cast<int16_t>(word & 0xffffu) * x[0] + static_cast<int16_t>(word >> 16) * x[1];
  }
  return sum;
}

#undef NEUROS_LANES
