#pragma once

/// From a chunk of a fragment panel, in shared memory, to operands: the codes of four steps as the
/// words a0 .. a3 of matrix instructions, and the scales of their rows. Everything a lane loads is
/// where fragment_layout.h says; four lanes that share rows read the same scales.

#include "kernels/blocks.h"
#include "kernels/cuda/fragment_layout.h"

#include <cstddef>

#include <cuda_fp16.h>

namespace neuros::kernels::cuda {

/// Steps that a lane decodes at a time: 128 columns.
inline constexpr int kStepsAtOnce = 4;

struct StepCodes {
  uint32_t a[kStepsAtOnce][4];
};

__device__ __forceinline__ void to_words(uint4 from, uint32_t (&to)[4]) {
  to[0] = from.x, to[1] = from.y, to[2] = from.z, to[3] = from.w;
}

/// Index to level of the IQ4 types, for the eight nibbles of `codes`: those of the low nibbles of
/// each byte, and of the high ones.
__device__ __forceinline__ uint2 look_up(uint32_t codes) {
  constexpr auto levels = [](int first) {
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) {
      word |= static_cast<uint32_t>(static_cast<uint8_t>(kIq4Values[first + i])) << (8 * i);
    }
    return word;
  };
  constexpr uint32_t kLevels[4]{levels(0), levels(4), levels(8), levels(12)};
  // A selector nibble names one of eight bytes by three bits; the fourth would ask for its sign.
  const uint32_t places = codes & 0x77777777u;
  const uint32_t choice = 0x32103210u | ((codes >> 1) & 0x44444444u);
  uint32_t found[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32_t lower = __byte_perm(kLevels[0], kLevels[1], places >> (16 * i));
    const uint32_t upper = __byte_perm(kLevels[2], kLevels[3], places >> (16 * i));
    found[i] = __byte_perm(lower, upper, choice >> (16 * i));
  }
  return make_uint2(__byte_perm(found[0], found[1], 0x6420),
                    __byte_perm(found[0], found[1], 0x7531));
}

/// The codes of steps 4 part .. 4 part + 3 of a chunk, without their high planes.
template <FragmentFormat kFormat>
__device__ __forceinline__ void read_low_plane(const std::byte* chunk, int part, int lane,
                                               StepCodes& out) {
  const uint4* plane = reinterpret_cast<const uint4*>(chunk + kFormat.low_offset()) + lane;
  if constexpr (kFormat.low_bits == 8) {
#pragma unroll
    for (int s = 0; s < 4; ++s) to_words(plane[(4 * part + s) * kLanes], out.a[s]);
  } else if constexpr (kFormat.low_bits == 4) {
#pragma unroll
    for (int pair = 0; pair < 2; ++pair) {
      uint32_t words[4];
      to_words(plane[(2 * part + pair) * kLanes], words);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if constexpr (kFormat.lookup) {
          const uint2 levels = look_up(words[i]);
          out.a[2 * pair][i] = levels.x;
          out.a[2 * pair + 1][i] = levels.y;
        } else {
          out.a[2 * pair][i] = words[i] & 0x0f0f0f0fu;
          out.a[2 * pair + 1][i] = (words[i] >> 4) & 0x0f0f0f0fu;
        }
      }
    }
  } else {
    uint32_t words[4];
    to_words(plane[part * kLanes], words);
#pragma unroll
    for (int s = 0; s < 4; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) out.a[s][i] = (words[i] >> (2 * s)) & 0x03030303u;
    }
  }
}

/// `bits` at bit `from` of each byte, moved to bit `to`.
template <int kBits>
__device__ __forceinline__ uint32_t move_bits(uint32_t word, int from, int to) {
  const uint32_t moved = from > to ? word >> (from - to) : word << (to - from);
  return moved & (((1u << kBits) - 1u) << to) * 0x01010101u;
}

template <FragmentFormat kFormat>
__device__ __forceinline__ void add_high_plane(const std::byte* chunk, int part, int lane,
                                               StepCodes& out) {
  const std::byte* plane = chunk + kFormat.high_offset();
  constexpr int kBits = kFormat.high_bits, kPlace = kFormat.low_bits;
  uint32_t words[4];
  if constexpr (kBits == 1 && kFormat.steps == 4) {
    const uint2 both = reinterpret_cast<const uint2*>(plane)[lane];
    words[0] = both.x, words[1] = both.y;
  } else {
    to_words(reinterpret_cast<const uint4*>(plane)[(kBits == 2 ? part * kLanes : 0) + lane], words);
  }
  if constexpr (kBits == 1 && kFormat.steps == 8) {
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] >>= 4 * part;
  }
#pragma unroll
  for (int s = 0; s < 4; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (kBits == 2) {
        out.a[s][i] |= move_bits<2>(words[i], 2 * s, kPlace);
      } else if constexpr (kFormat.steps == 4) {
        out.a[s][i] |= move_bits<1>(words[i / 2], s + 4 * (i % 2), kPlace);
      } else {
        out.a[s][i] |= move_bits<1>(words[i], s, kPlace);
      }
    }
  }
}

template <FragmentFormat kFormat>
__device__ __forceinline__ StepCodes read_codes(const std::byte* chunk, int part, int lane) {
  StepCodes out;
  read_low_plane<kFormat>(chunk, part, lane, out);
  if constexpr (kFormat.high_bits != 0) add_high_plane<kFormat>(chunk, part, lane, out);
  return out;
}

/// Columns that one matrix instruction multiplies: 16 where sub-scales have 16.
template <FragmentFormat kFormat>
inline constexpr int kPieces = kFormat.sub_columns == 16 ? 2 : 1;  ///< of a step

/// A number for row g and one for row g + 8.
struct RowPair {
  float at[2];
};

/// Factors of a piece for rows g and g + 8. A row's result is the sum over the pieces of
///   scale * dx * sum((code - offset) * activation) + minimum * dx * sum(activation).
struct PieceFactors {
  RowPair scale, minimum;
};

__device__ __forceinline__ RowPair halves_to_floats(uint32_t pair) {
  const __half2 halves = *reinterpret_cast<const __half2*>(&pair);
  return {{__low2float(halves), __high2float(halves)}};
}

/// d times byte `index` of a word, exactly: 2^23 + byte is a float by its bits.
__device__ __forceinline__ float scale_byte(float d, uint32_t word, int index) {
  const float shifted = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440 | index));
  return __fmaf_rn(d, shifted, __fmul_rn(d, -8388608.0f));
}
/// The same for a byte whose sign bit was flipped: byte - 128.
__device__ __forceinline__ float scale_signed_byte(float d, uint32_t word, int index) {
  const float shifted = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440 | index));
  return __fmul_rn(d, __fsub_rn(shifted, 8388608.0f + 128.0f));
}

/// What the factors of four steps are made of: little, so that they can be made where they are used
/// and take no registers before.
template <FragmentFormat kFormat>
class RowScales;

/// Types without sub-scales: a pair of f16 for one to four steps.
template <FragmentFormat kFormat>
requires(kFormat.sub_scales == SubScales::kNone) class RowScales<kFormat> {
 public:
  __device__ __forceinline__ RowScales(const std::byte* chunk, int /*part*/, int g) {
    const auto* words = reinterpret_cast<const uint32_t*>(chunk) + g * kScales;
    if constexpr (kScales == 4) {
      to_words(*reinterpret_cast<const uint4*>(words), scale_);
      if constexpr (kFormat.minimum) {
        to_words(*reinterpret_cast<const uint4*>(words + 8 * kScales), minimum_);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kScales; ++i) scale_[i] = words[i];
    }
  }

  __device__ __forceinline__ PieceFactors factors(int step, int /*piece*/) const {
    constexpr int kStepsOfScale = kStepsAtOnce / kScales;
    PieceFactors out{halves_to_floats(scale_[step / kStepsOfScale]), {}};
    if constexpr (kFormat.minimum) out.minimum = halves_to_floats(minimum_[step / kStepsOfScale]);
    return out;
  }

 private:
  static constexpr int kScales = kFormat.scales();
  uint32_t scale_[kScales], minimum_[kScales];
};

/// Types of 256 values with sub-scales.
template <FragmentFormat kFormat>
requires(kFormat.sub_scales != SubScales::kNone) class RowScales<kFormat> {
 public:
  __device__ __forceinline__ RowScales(const std::byte* chunk, int part, int g) {
    const auto* words = reinterpret_cast<const uint32_t*>(chunk) + g * (kFormat.minimum ? 2 : 1);
    d_ = halves_to_floats(words[0]);
    if constexpr (kFormat.minimum) {
      const RowPair m = halves_to_floats(words[1]);
      minus_m_ = {{-m.at[0], -m.at[1]}};
    }
    const std::byte* of_rows = chunk + kFormat.scale_bytes() + g * (kFormat.sub_bytes() / 8) +
                               part * (kFormat.sub_bytes() / 16);
    if constexpr (kFormat.sub_bytes() == 256) {
      to_words(*reinterpret_cast<const uint4*>(of_rows), sub_);
    } else {
      const uint2 both = *reinterpret_cast<const uint2*>(of_rows);
      sub_[0] = both.x, sub_[1] = both.y;
    }
  }

  __device__ __forceinline__ PieceFactors factors(int step, int piece) const {
    PieceFactors out{};
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float& scale = out.scale.at[row];
      if constexpr (kFormat.sub_scales == SubScales::kMinimum) {
        scale = scale_byte(d_.at[row], sub_[step], row);
        out.minimum.at[row] = scale_byte(minus_m_.at[row], sub_[step], 2 + row);
      } else if constexpr (kFormat.sub_scales == SubScales::kNibbles) {
        const uint32_t low = sub_[step] & 0x0f0f0f0fu, high = (sub_[step] >> 4) & 0x0f0f0f0fu;
        scale = scale_byte(d_.at[row], low, 2 * piece + row);
        out.minimum.at[row] = scale_byte(minus_m_.at[row], high, 2 * piece + row);
      } else if constexpr (kFormat.sub_columns == 16) {
        scale = scale_signed_byte(d_.at[row], sub_[step] ^ 0x80808080u, 2 * piece + row);
      } else {
        scale = scale_signed_byte(d_.at[row], sub_[step / 2] ^ 0x80808080u, step % 2 * 2 + row);
      }
    }
    return out;
  }

 private:
  RowPair d_, minus_m_;
  uint32_t sub_[4];  ///< of each step; of two where a step has but two bytes
};

}  // namespace neuros::kernels::cuda
