// AVX-512 with VNNI, and with or without the bf16 dot product.

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

NEUROS_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512vnni,avx512bf16")
namespace neuros::kernels::cpu::vnni {

#include "kernels/cpu/simd_avx512-inl.h"

inline constexpr int kTileTokens = 8;
inline constexpr int kBlockTokens = 6;
inline constexpr int kPlainBlockTokens = 12;
inline constexpr int kPrefetchBytes = 2048;
inline constexpr bool kWideCodesAreSigned = false;

/// sum + codes (64 unsigned bytes) times four int8 at x, in every lane. Written out because GCC does
/// not fold the broadcast into the instruction.
template <bool wide>
NEUROS_INLINE I dot4(I sum, I codes, const int8_t* x) {
  struct Four {
    int8_t bytes[4];
  };
  __asm__("vpdpbusd %2%{1to16%}, %1, %0"
          : "+v"(sum)
          : "v"(codes), "m"(*reinterpret_cast<const Four*>(x)));
  return sum;
}

/// The same with activations that are in a register.
template <bool wide>
NEUROS_INLINE I dot4_vector(I sum, I codes, I activations) {
  return _mm512_dpbusd_epi32(sum, codes, activations);
}

/// sum + pairs of int16 times two int16 at x.
NEUROS_INLINE I dot2(I sum, I pairs, const int16_t* x) {
  return _mm512_dpwssd_epi32(sum, pairs, i_broadcast32(x));
}

struct Bf16DotStep {
  using Activation = uint16_t;
  static constexpr int kColumns = 2;
  static constexpr int kBytes = 64;
  static NEUROS_INLINE I load(const std::byte* at) { return i_load(at); }
  static NEUROS_INLINE F add(F sum, I pairs, const uint16_t* x) {
    struct Two {
      uint16_t values[2];
    };
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(pairs), "m"(*reinterpret_cast<const Two*>(x)));
    return sum;
  }
  static NEUROS_INLINE I spread(const uint16_t* x) { return i_broadcast32(x); }
  static NEUROS_INLINE F add_spread(F sum, I pairs, I x) {
    return _mm512_dpbf16_ps(sum, (__m512bh)pairs, (__m512bh)x);
  }
};

#include "kernels/cpu/linear_rows-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_table-inl.h"

}  // namespace neuros::kernels::cpu::vnni
NEUROS_TARGET_END

namespace neuros::kernels::cpu {

const EngineTable& vnni_engine() {
  static const EngineTable table = vnni::make_table<vnni::Bf16AsF32Step>();
  return table;
}

const EngineTable& vnni_bf16_engine() {
  static const EngineTable table = vnni::make_table<vnni::Bf16DotStep>();
  return table;
}

}  // namespace neuros::kernels::cpu

#endif
