// The vector words of linear_tiles-inl.h for AVX2 with FMA and F16C: 8 lanes, so that a panel is
// read in two slices. Included inside a target region and a namespace; no include guard, on
// purpose.

using F = __m256;   // 8 floats
using I = __m256i;  // 8 int32 or 32 bytes
inline constexpr int kLanes = 8;

NEUROS_INLINE F f_zero() {
  return _mm256_setzero_ps();
}
NEUROS_INLINE F f_set(float value) {
  return _mm256_set1_ps(value);
}
NEUROS_INLINE F f_load(const void* from) {
  return _mm256_loadu_ps(static_cast<const float*>(from));
}
NEUROS_INLINE void f_store(float* to, F a) {
  _mm256_storeu_ps(to, a);
}
NEUROS_INLINE F f_add(F a, F b) {
  return _mm256_add_ps(a, b);
}
NEUROS_INLINE F f_sub(F a, F b) {
  return _mm256_sub_ps(a, b);
}
NEUROS_INLINE F f_mul(F a, F b) {
  return _mm256_mul_ps(a, b);
}
NEUROS_INLINE F f_div(F a, F b) {
  return _mm256_div_ps(a, b);
}
NEUROS_INLINE F f_max(F a, F b) {
  return _mm256_max_ps(a, b);
}
NEUROS_INLINE F f_min(F a, F b) {
  return _mm256_min_ps(a, b);
}
NEUROS_INLINE F f_abs(F a) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
/// a * b + c
NEUROS_INLINE F f_fma(F a, F b, F c) {
  return _mm256_fmadd_ps(a, b, c);
}
/// c - a * b
NEUROS_INLINE F f_fnma(F a, F b, F c) {
  return _mm256_fnmadd_ps(a, b, c);
}
NEUROS_INLINE float f_reduce_max(F a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
NEUROS_INLINE float f_reduce_add(F a) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
NEUROS_INLINE F f_from_i(I a) {
  return _mm256_cvtepi32_ps(a);
}
NEUROS_INLINE F f_cast_i(I a) {
  return _mm256_castsi256_ps(a);
}
/// 8 binary16 values.
NEUROS_INLINE F f_load_half(const std::byte* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
/// 8 bytes, unsigned or signed.
NEUROS_INLINE I i_load_u8(const std::byte* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}
NEUROS_INLINE I i_load_s8(const std::byte* from) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}

NEUROS_INLINE I i_zero() {
  return _mm256_setzero_si256();
}
NEUROS_INLINE I i_load(const std::byte* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
NEUROS_INLINE void i_store(std::byte* to, I a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a);
}
NEUROS_INLINE I i_cast_f(F a) {
  return _mm256_castps_si256(a);
}
NEUROS_INLINE I i_set8(int value) {
  return _mm256_set1_epi8(static_cast<char>(value));
}
NEUROS_INLINE I i_set32(int32_t value) {
  return _mm256_set1_epi32(value);
}
NEUROS_INLINE I i_broadcast32(const void* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return _mm256_set1_epi32(value);
}
NEUROS_INLINE I i_and(I a, I b) {
  return _mm256_and_si256(a, b);
}
NEUROS_INLINE I i_or(I a, I b) {
  return _mm256_or_si256(a, b);
}
NEUROS_INLINE I i_add(I a, I b) {
  return _mm256_add_epi32(a, b);
}
template <int n>
NEUROS_INLINE I i_shl(I a) {
  return _mm256_slli_epi32(a, n);
}
template <int n>
NEUROS_INLINE I i_shr(I a) {
  return _mm256_srli_epi32(a, n);
}
/// Bytes of a table of 16; each index below 16.
NEUROS_INLINE I i_lookup(const uint8_t* table, I index) {
  const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(lane), index);
}
NEUROS_INLINE int32_t i_reduce_add(I a) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  return _mm_cvtsi128_si32(half);
}
/// To the nearest integer, ties to even.
NEUROS_INLINE I i_round(F a) {
  return _mm256_cvtps_epi32(a);
}
NEUROS_INLINE void i_store_s8(int8_t* to, I a) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}
NEUROS_INLINE void prefetch(const std::byte* at) {
  __builtin_prefetch(at, 0, 3);
}

/// sum + codes (32 unsigned bytes) times activations (int8), in groups of four. Codes below 128
/// cannot saturate the 16-bit sums of two products; wide codes are taken as code - 128, and their
/// sign is moved to the activation.
template <bool wide>
NEUROS_INLINE I dot4_vector(I sum, I codes, I activations) {
  if constexpr (wide) {
    const I centred = _mm256_xor_si256(codes, i_set8(128));
    activations = _mm256_sign_epi8(activations, centred);
    codes = _mm256_abs_epi8(centred);
  }
  const I pairs = _mm256_maddubs_epi16(codes, activations);
  return i_add(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/// The same with the four int8 at x in every lane.
template <bool wide>
NEUROS_INLINE I dot4(I sum, I codes, const int8_t* x) {
  return dot4_vector<wide>(sum, codes, i_broadcast32(x));
}

/// sum + pairs of int16 times two int16 at x.
NEUROS_INLINE I dot2(I sum, I pairs, const int16_t* x) {
  return i_add(sum, _mm256_madd_epi16(pairs, i_broadcast32(x)));
}
