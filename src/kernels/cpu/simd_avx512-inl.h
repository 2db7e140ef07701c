// The vector words of linear_tiles-inl.h for AVX-512 (F, BW, DQ, VL), but for dot4() and dot2().
// Included inside a target region and a namespace; no include guard, on purpose.

using F = __m512;   // 16 floats
using I = __m512i;  // 16 int32 or 64 bytes
inline constexpr int kLanes = 16;

NEUROS_INLINE F f_zero() {
  return _mm512_setzero_ps();
}
NEUROS_INLINE F f_set(float value) {
  return _mm512_set1_ps(value);
}
NEUROS_INLINE F f_load(const void* from) {
  return _mm512_loadu_ps(from);
}
NEUROS_INLINE void f_store(float* to, F a) {
  _mm512_storeu_ps(to, a);
}
NEUROS_INLINE F f_add(F a, F b) {
  return _mm512_add_ps(a, b);
}
NEUROS_INLINE F f_sub(F a, F b) {
  return _mm512_sub_ps(a, b);
}
NEUROS_INLINE F f_mul(F a, F b) {
  return _mm512_mul_ps(a, b);
}
NEUROS_INLINE F f_div(F a, F b) {
  return _mm512_div_ps(a, b);
}
NEUROS_INLINE F f_max(F a, F b) {
  return _mm512_max_ps(a, b);
}
NEUROS_INLINE F f_min(F a, F b) {
  return _mm512_min_ps(a, b);
}
NEUROS_INLINE F f_abs(F a) {
  return _mm512_abs_ps(a);
}
/// a * b + c
NEUROS_INLINE F f_fma(F a, F b, F c) {
  return _mm512_fmadd_ps(a, b, c);
}
/// c - a * b
NEUROS_INLINE F f_fnma(F a, F b, F c) {
  return _mm512_fnmadd_ps(a, b, c);
}
NEUROS_INLINE float f_reduce_max(F a) {
  return _mm512_reduce_max_ps(a);
}
NEUROS_INLINE float f_reduce_add(F a) {
  return _mm512_reduce_add_ps(a);
}
NEUROS_INLINE F f_from_i(I a) {
  return _mm512_cvtepi32_ps(a);
}
NEUROS_INLINE F f_cast_i(I a) {
  return _mm512_castsi512_ps(a);
}
/// 16 binary16 values.
NEUROS_INLINE F f_load_half(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
/// 16 bytes, unsigned or signed, as floats.
NEUROS_INLINE I i_load_u8(const std::byte* from) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
NEUROS_INLINE I i_load_s8(const std::byte* from) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

NEUROS_INLINE I i_zero() {
  return _mm512_setzero_si512();
}
NEUROS_INLINE I i_load(const std::byte* from) {
  return _mm512_loadu_si512(from);
}
NEUROS_INLINE void i_store(std::byte* to, I a) {
  _mm512_storeu_si512(to, a);
}
NEUROS_INLINE I i_set8(int value) {
  return _mm512_set1_epi8(static_cast<char>(value));
}
NEUROS_INLINE I i_set32(int32_t value) {
  return _mm512_set1_epi32(value);
}
NEUROS_INLINE I i_broadcast32(const void* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return _mm512_set1_epi32(value);
}
NEUROS_INLINE I i_and(I a, I b) {
  return _mm512_and_si512(a, b);
}
NEUROS_INLINE I i_or(I a, I b) {
  return _mm512_or_si512(a, b);
}
NEUROS_INLINE I i_add(I a, I b) {
  return _mm512_add_epi32(a, b);
}
template <int n>
NEUROS_INLINE I i_shl(I a) {
  return _mm512_slli_epi32(a, n);
}
template <int n>
NEUROS_INLINE I i_shr(I a) {
  return _mm512_srli_epi32(a, n);
}
/// Bytes of a table of 16; each index below 16.
NEUROS_INLINE I i_lookup(const uint8_t* table, I index) {
  const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(lane), index);
}
NEUROS_INLINE int32_t i_reduce_add(I a) {
  return _mm512_reduce_add_epi32(a);
}
/// To the nearest integer, ties to even.
NEUROS_INLINE I i_round(F a) {
  return _mm512_cvtps_epi32(a);
}
NEUROS_INLINE void i_store_s8(int8_t* to, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(a));
}
NEUROS_INLINE I i_cast_f(F a) {
  return _mm512_castps_si512(a);
}
NEUROS_INLINE void prefetch(const std::byte* at) {
  __builtin_prefetch(at, 0, 3);
}
