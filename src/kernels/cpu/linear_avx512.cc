// AVX-512 (F, BW, VL, DQ, CD) without VNNI.

#include "base/float16.h"
#include "kernels/cpu/engine.h"
#include "kernels/cpu/iq4_codes.h"
#include "kernels/cpu/panel_layout.h"
#include "kernels/cpu/target.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)

#include <immintrin.h>

NEUROS_TARGET_BEGIN(NEUROS_TARGET_AVX512)
namespace neuros::kernels::cpu::avx512 {

#include "kernels/cpu/simd_avx512-inl.h"

inline constexpr int kTileTokens = 8;
inline constexpr int kBlockTokens = 6;
inline constexpr int kPlainBlockTokens = 12;
inline constexpr int kPrefetchBytes = 8192;
inline constexpr bool kWideCodesAreSigned = true;

/// sum + codes (64 unsigned bytes) times activations (int8), in groups of four. Codes below 128
/// cannot saturate the 16-bit sums of two products; wide codes are taken as code - 128, and their
/// sign is moved to the activation.
template <bool wide>
NEUROS_INLINE I dot4_vector(I sum, I codes, I activations) {
  if constexpr (wide) {
    const I centred = _mm512_xor_si512(codes, i_set8(128));
    const __mmask64 negative = _mm512_movepi8_mask(centred);
    activations = _mm512_mask_sub_epi8(activations, negative, i_zero(), activations);
    codes = _mm512_abs_epi8(centred);
  }
  const I pairs = _mm512_maddubs_epi16(codes, activations);
  return i_add(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

/// The same with the four int8 at x in every lane.
template <bool wide>
NEUROS_INLINE I dot4(I sum, I codes, const int8_t* x) {
  return dot4_vector<wide>(sum, codes, i_broadcast32(x));
}

/// sum + pairs of int16 times two int16 at x.
NEUROS_INLINE I dot2(I sum, I pairs, const int16_t* x) {
  return i_add(sum, _mm512_madd_epi16(pairs, i_broadcast32(x)));
}

// In this order: each uses the ones before.
// clang-format off
#include "kernels/cpu/linear_rows-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_table-inl.h"
// clang-format on

}  // namespace neuros::kernels::cpu::avx512
NEUROS_TARGET_END

namespace neuros::kernels::cpu {

const EngineTable& avx512_engine() {
  static const EngineTable table = avx512::make_table<avx512::Bf16AsF32Step>();
  return table;
}

}  // namespace neuros::kernels::cpu

#endif
