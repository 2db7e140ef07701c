// The vector words of linear_tiles-inl.h in the vector extensions of GCC and Clang, for processors
// that have no level of their own: 4 lanes of whatever the compiler's baseline is (SSE2, NEON), so
// that a panel is read in four slices. Included inside a namespace; no include guard, on purpose.

using F = float __attribute__((vector_size(16)));
using I = int32_t __attribute__((vector_size(16)));
using U32 = uint32_t __attribute__((vector_size(16)));
using I16 = int16_t __attribute__((vector_size(16)));
using U16 = uint16_t __attribute__((vector_size(16)));
inline constexpr int kLanes = 4;

template <typename V>
NEUROS_INLINE V load_vector(const void* from) {
  V out;
  std::memcpy(&out, from, sizeof(out));
  return out;
}

NEUROS_INLINE F f_set(float value) {
  return F{value, value, value, value};
}
NEUROS_INLINE F f_zero() {
  return f_set(0.0f);
}
NEUROS_INLINE F f_load(const void* from) {
  return load_vector<F>(from);
}
NEUROS_INLINE void f_store(float* to, F a) {
  std::memcpy(to, &a, sizeof(a));
}
NEUROS_INLINE F f_add(F a, F b) {
  return a + b;
}
NEUROS_INLINE F f_sub(F a, F b) {
  return a - b;
}
NEUROS_INLINE F f_mul(F a, F b) {
  return a * b;
}
NEUROS_INLINE F f_div(F a, F b) {
  return a / b;
}
NEUROS_INLINE F f_max(F a, F b) {
  return a > b ? a : b;
}
NEUROS_INLINE F f_min(F a, F b) {
  return a < b ? a : b;
}
/// a * b + c, rounded twice.
NEUROS_INLINE F f_fma(F a, F b, F c) {
  return a * b + c;
}
/// c - a * b
NEUROS_INLINE F f_fnma(F a, F b, F c) {
  return c - a * b;
}
NEUROS_INLINE float f_reduce_max(F a) {
  const float low = a[0] > a[1] ? a[0] : a[1];
  const float high = a[2] > a[3] ? a[2] : a[3];
  return low > high ? low : high;
}
NEUROS_INLINE float f_reduce_add(F a) {
  return (a[0] + a[1]) + (a[2] + a[3]);
}
NEUROS_INLINE F f_from_i(I a) {
  return __builtin_convertvector(a, F);
}
NEUROS_INLINE F f_cast_i(I a) {
  return reinterpret_cast<F>(a);
}
NEUROS_INLINE I i_cast_f(F a) {
  return reinterpret_cast<I>(a);
}

NEUROS_INLINE I i_set32(int32_t value) {
  return I{value, value, value, value};
}
NEUROS_INLINE I i_zero() {
  return i_set32(0);
}
NEUROS_INLINE I i_set8(int value) {
  return i_set32(static_cast<int32_t>(static_cast<uint32_t>(value) * 0x01010101u));
}
NEUROS_INLINE I i_load(const std::byte* from) {
  return load_vector<I>(from);
}
NEUROS_INLINE void i_store(std::byte* to, I a) {
  std::memcpy(to, &a, sizeof(a));
}
NEUROS_INLINE I i_load_u8(const std::byte* from) {
  return __builtin_convertvector(load_vector<uint8_t __attribute__((vector_size(4)))>(from), I);
}
NEUROS_INLINE I i_load_s8(const std::byte* from) {
  return __builtin_convertvector(load_vector<int8_t __attribute__((vector_size(4)))>(from), I);
}
NEUROS_INLINE I i_broadcast32(const void* from) {
  int32_t value;
  std::memcpy(&value, from, sizeof(value));
  return i_set32(value);
}
NEUROS_INLINE I i_and(I a, I b) {
  return a & b;
}
NEUROS_INLINE I i_or(I a, I b) {
  return a | b;
}
NEUROS_INLINE I i_add(I a, I b) {
  return a + b;
}
template <int n>
NEUROS_INLINE I i_shl(I a) {
  return reinterpret_cast<I>(reinterpret_cast<U32>(a) << n);
}
template <int n>
NEUROS_INLINE I i_shr(I a) {
  return reinterpret_cast<I>(reinterpret_cast<U32>(a) >> n);
}
NEUROS_INLINE F f_abs(F a) {
  return f_cast_i(i_and(i_cast_f(a), i_set32(0x7fffffff)));
}
/// 4 binary16 values: their bits as those of a float 2^112 times too small, and the exponent of
/// infinities and NaNs made whole.
NEUROS_INLINE F f_load_half(const std::byte* from) {
  const I bits =
      __builtin_convertvector(load_vector<uint16_t __attribute__((vector_size(8)))>(from), I);
  const I magnitude = bits & 0x7fff;
  const F value = f_cast_i(i_shl<13>(magnitude)) * 0x1p112f;
  const I special = (magnitude >= 0x7c00) & 0x7f800000;
  return f_cast_i(i_cast_f(value) | special | i_shl<16>(bits & 0x8000));
}
/// Bytes of a table of 16; each index below 16.
NEUROS_INLINE I i_lookup(const uint8_t* table, I index) {
  uint8_t bytes[16];
  std::memcpy(bytes, &index, sizeof(bytes));
  for (uint8_t& byte : bytes) byte = table[byte];
  return load_vector<I>(bytes);
}
NEUROS_INLINE int32_t i_reduce_add(I a) {
  return a[0] + a[1] + a[2] + a[3];
}
/// To the nearest integer, ties to even: adding 1.5 * 2^23 leaves no bits for the fraction.
NEUROS_INLINE I i_round(F a) {
  return i_cast_f(a + 12582912.0f) - i_cast_f(f_set(12582912.0f));
}
NEUROS_INLINE void i_store_s8(int8_t* to, I a) {
  for (int lane = 0; lane < kLanes; ++lane) to[lane] = static_cast<int8_t>(a[lane]);
}
NEUROS_INLINE void prefetch(const std::byte*) {}

/// a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1], in lane i; each product fits 16 bits.
NEUROS_INLINE I multiply_pairs(I16 a, I16 b) {
#if defined(__SSE2__)
  return reinterpret_cast<I>(
      _mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const I products = reinterpret_cast<I>(a * b);
  return (i_shl<16>(products) >> 16) + (products >> 16);
#endif
}

/// sum + codes (16 unsigned bytes) times activations (int8), in groups of four.
template <bool wide>
NEUROS_INLINE I dot4_vector(I sum, I codes, I activations) {
  const I16 x = reinterpret_cast<I16>(activations);
  const I16 even = reinterpret_cast<I16>(codes & 0x00ff00ff);
  const I16 odd = reinterpret_cast<I16>(reinterpret_cast<U16>(codes) >> 8);
  const I16 x_even = reinterpret_cast<I16>(reinterpret_cast<U16>(x) << 8) >> 8;
  return sum + multiply_pairs(even, x_even) + multiply_pairs(odd, x >> 8);
}

/// The same with the four int8 at x in every lane.
template <bool wide>
NEUROS_INLINE I dot4(I sum, I codes, const int8_t* x) {
  return dot4_vector<wide>(sum, codes, i_broadcast32(x));
}

/// sum + pairs of int16 times two int16 at x.
NEUROS_INLINE I dot2(I sum, I pairs, const int16_t* x) {
  const I low = i_shl<16>(pairs) >> 16, high = pairs >> 16;
  return sum + low * x[0] + high * x[1];
}
