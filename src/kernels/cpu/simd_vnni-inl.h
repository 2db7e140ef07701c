// What VNNI and the bf16 dot product add to simd_avx512-inl.h, and the sizes of their tiles.
// Included after it. No include guard, on purpose.

inline constexpr int kTileTokens = 8;
inline constexpr int kBlockTokens = 6;
inline constexpr int kPlainBlockTokens = 12;
inline constexpr int kPrefetchBytes = 8192;
inline constexpr bool kWideCodesAreSigned = false;

/// sum + codes (64 unsigned bytes) times four int8 at x, in every lane. Written out because GCC
/// does not fold the broadcast into the instruction.
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
