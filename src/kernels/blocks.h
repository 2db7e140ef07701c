#pragma once

/// The block formats of quantised weights, as they stand in GGUF files. A block is a run of
/// consecutive elements of one row; all numbers are little-endian; `f16` fields are IEEE binary16
/// bits. "Codes" are the stored unsigned integers. Where a format fills bytes with several codes,
/// the comment says which elements share a byte, lowest bits first.
///
/// The layouts are ggml's (ggml-common.h and ggml-quants.c of llama.cpp). kernels/dequantise.cc
/// is the same definition as code.

#include "base/float16.h"

#include <array>
#include <cstdint>

namespace neuros::kernels {

using f16 = uint16_t;  ///< bits of a binary16

/// 32 elements: value = d * (code - 8), codes of 4 bits.
/// Byte i of qs: element i, then element i + 16.
struct [[gnu::packed]] BlockQ4_0 {
  f16 d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// 32 elements: value = d * code + m, codes of 4 bits ordered as in Q4_0.
struct [[gnu::packed]] BlockQ4_1 {
  f16 d;
  f16 m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// 32 elements: value = d * (code - 16), codes of 5 bits: the low four ordered as in Q4_0, the
/// fifth of element i in bit i of qh (little-endian).
struct [[gnu::packed]] BlockQ5_0 {
  f16 d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// 32 elements: value = d * code + m, codes of 5 bits stored as in Q5_0.
struct [[gnu::packed]] BlockQ5_1 {
  f16 d;
  f16 m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// 32 elements: value = d * qs[i].
struct [[gnu::packed]] BlockQ8_0 {
  f16 d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// 256 elements in 16 groups of 16: value = d * (scales[g] & 15) * code - dmin * (scales[g] >> 4),
/// codes of 2 bits. Each half of 128 elements has 32 bytes of qs; byte i of a half holds its
/// elements i, i + 32, i + 64, i + 96.
struct [[gnu::packed]] BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  f16 d;
  f16 dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

/// 256 elements in 16 groups of 16: value = d * scale[g] * (code - 4), codes of 3 bits: the low two
/// ordered as in Q2_K, the third of element e in bit e / 32 of hmask[e % 32]. Scales of 6 bits,
/// less 32, as scale_q3_k() reads them.
struct [[gnu::packed]] BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  f16 d;
};
static_assert(sizeof(BlockQ3_K) == 110);

/// 256 elements in 8 groups of 32: value = d * scale[g] * code - dmin * min[g], codes of 4 bits.
/// Each quarter of 64 elements has 32 bytes of qs; byte i of a quarter holds its elements i and
/// i + 32. Scales and minima of 6 bits, as scale_min_k() reads them.
struct [[gnu::packed]] BlockQ4_K {
  f16 d;
  f16 dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// As Q4_K with codes of 5 bits: the fifth of element e in bit e / 32 of qh[e % 32].
struct [[gnu::packed]] BlockQ5_K {
  f16 d;
  f16 dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// 256 elements in 16 groups of 16: value = d * scales[g] * (code - 32), codes of 6 bits.
/// Each half of 128 elements has 64 bytes of ql and 32 of qh. Low four bits: byte i of a half's ql
/// holds its elements i and i + 64. High two: byte i of a half's qh holds its elements i, i + 32,
/// i + 64, i + 96.
struct [[gnu::packed]] BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  f16 d;
};
static_assert(sizeof(BlockQ6_K) == 210);

/// 32 elements: value = d * kIq4Values[code], codes of 4 bits ordered as in Q4_0.
struct [[gnu::packed]] BlockIQ4_NL {
  f16 d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

/// 256 elements in 8 groups of 32: value = d * (scale[g] - 32) * kIq4Values[code]; each group's 16
/// bytes of qs are ordered as in Q4_0. Scales of 6 bits: the low four in nibbles of scales_l, the
/// high two in bits 2g and 2g + 1 of scales_h, as scale_iq4_xs() reads them.
struct [[gnu::packed]] BlockIQ4_XS {
  f16 d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

/// 256 elements: value = d * (code - 1), codes 0, 1, 2 in base 3, five to a byte of qs and four to
/// a byte of qh. A byte b stands for the fraction b / 256 in [0, 1); its digits in base 3 after the
/// point are its codes (trit_tq1_0() reads the n-th). Bytes 0..31 of qs: digit n of byte i is
/// element 32 n + i; bytes 32..47: element 160 + 16 n + (i - 32); bytes of qh: element 240 + 4 n +
/// i.
struct [[gnu::packed]] BlockTQ1_0 {
  uint8_t qs[48];
  uint8_t qh[4];
  f16 d;
};
static_assert(sizeof(BlockTQ1_0) == 54);

/// 256 elements: value = d * (code - 1), codes of 2 bits (0, 1, 2; 3 gives 2 d). Each half of 128
/// elements has 32 bytes; byte i of a half holds its elements i, i + 32, i + 64, i + 96.
struct [[gnu::packed]] BlockTQ2_0 {
  uint8_t qs[64];
  f16 d;
};
static_assert(sizeof(BlockTQ2_0) == 66);

/// 64 elements: value = d * (code - 1), codes of 2 bits: -d, 0, d, 2 d. Byte i of qs holds the
/// elements 4 i .. 4 i + 3.
struct [[gnu::packed]] BlockQ2_0 {
  f16 d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ2_0) == 18);

/// The same with 128 elements.
struct [[gnu::packed]] BlockQ2_0_128 {
  f16 d;
  uint8_t qs[32];
};
static_assert(sizeof(BlockQ2_0_128) == 34);

/// The 16 levels of the IQ4 formats.
inline constexpr std::array<int8_t, 16> kIq4Values{-127, -104, -83, -65, -49, -35, -22, -10,
                                                   1,    13,   25,  38,  53,  69,  89,  113};

/// Powers of three that move a digit of a TQ1_0 byte to the front.
inline constexpr std::array<uint8_t, 5> kPowersOfThree{1, 3, 9, 27, 81};

struct ScaleMin {
  uint8_t scale;
  uint8_t minimum;
};

/// Scale and minimum of group g (0..7) of Q4_K and Q5_K. Groups 0..3 have their six bits in bytes
/// g (scale) and g + 4 (minimum); groups 4..7 have their low four bits in the nibbles of byte g + 4
/// and their high two on top of bytes g - 4 and g.
inline ScaleMin scale_min_k(const uint8_t* scales, int g) {
  const auto byte = [](int value) { return static_cast<uint8_t>(value); };
  if (g < 4) return {byte(scales[g] & 63), byte(scales[g + 4] & 63)};
  return {byte((scales[g + 4] & 15) | ((scales[g - 4] >> 6) << 4)),
          byte((scales[g + 4] >> 4) | ((scales[g] >> 6) << 4))};
}

/// Scale of group g (0..15) of Q3_K, -32..31: the low four bits in nibble g / 8 of byte g % 8, the
/// high two in bits 2 (g / 4) of byte 8 + g % 4.
inline int scale_q3_k(const uint8_t* scales, int g) {
  const int low = (scales[g % 8] >> (4 * (g / 8))) & 15;
  const int high = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
  return (low | (high << 4)) - 32;
}

/// Scale of group g (0..7) of IQ4_XS, -32..31.
inline int scale_iq4_xs(const BlockIQ4_XS& block, int g) {
  const int low = (block.scales_l[g / 2] >> (4 * (g % 2))) & 15;
  const int high = (block.scales_h >> (2 * g)) & 3;
  return (low | (high << 4)) - 32;
}

/// Digit n (0..4) of a TQ1_0 byte: 0, 1 or 2.
inline int trit_tq1_0(uint8_t byte, int n) {
  const auto moved = static_cast<uint8_t>(byte * kPowersOfThree[static_cast<size_t>(n)]);
  return (moved * 3) >> 8;
}

}  // namespace neuros::kernels
