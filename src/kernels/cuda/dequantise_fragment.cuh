#pragma once

/// Packed weights (fragment_layout.h) to the 16-bit A operands of matrix instructions, in
/// registers.
///
/// WeightStream walks one panel in memory, a chunk at a time, with the words of the next chunk on
/// their way while this one is multiplied; SharedWeights has a chunk in shared memory. A step is 32
/// columns: two operands of 16 columns each.
///
/// Numbers: a code less its offset is an integer below 2^11, exact in f16. d * kWeightFactor is
/// exact (a shift of the exponent); times a sub-scale it rounds once; times the code (and less the
/// minimum, fused) it rounds once more. A weight is thus off by at most 2^-12 of itself without
/// sub-scales, 2^-10 of the largest of its group with them (their product has up to twice its
/// size): a few times less than activations rounded to eight bits are off.
/// f16 arithmetic is written in PTX with .rn, so that every kernel rounds alike.

#include "kernels/blocks.h"
#include "kernels/cuda/fragment_layout.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda::prefill {

__device__ __forceinline__ uint32_t multiply_f16x2(uint32_t a, uint32_t b) {
  uint32_t out;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
  return out;
}

__device__ __forceinline__ uint32_t subtract_f16x2(uint32_t a, uint32_t b) {
  uint32_t out;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
  return out;
}

__device__ __forceinline__ uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t out;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}

/// Loads of weights, which nobody writes while kernels run; volatile, so that the compiler leaves
/// them where they were put: well before their use.
template <int kWords>
__device__ __forceinline__ void load_words(const std::byte* at, uint32_t* out) {
  static_assert(kWords == 1 || kWords == 2 || kWords % 4 == 0);
  if constexpr (kWords == 1) {
    asm volatile("ld.global.nc.b32 %0, [%1];" : "=r"(out[0]) : "l"(at));
  } else if constexpr (kWords == 2) {
    asm volatile("ld.global.nc.v2.b32 {%0, %1}, [%2];" : "=r"(out[0]), "=r"(out[1]) : "l"(at));
  } else {
#pragma unroll
    for (int i = 0; i < kWords; i += 4) {
      asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(out[i]), "=r"(out[i + 1]), "=r"(out[i + 2]), "=r"(out[i + 3])
                   : "l"(at + 4 * i));
    }
  }
}

/// The same from an address in shared memory.
template <int kWords>
__device__ __forceinline__ void load_words(uint32_t at, uint32_t* out) {
  static_assert(kWords == 1 || kWords == 2 || kWords % 4 == 0);
  if constexpr (kWords == 1) {
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(out[0]) : "r"(at) : "memory");
  } else if constexpr (kWords == 2) {
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];"
                 : "=r"(out[0]), "=r"(out[1])
                 : "r"(at)
                 : "memory");
  } else {
#pragma unroll
    for (int i = 0; i < kWords; i += 4) {
      asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(out[i]), "=r"(out[i + 1]), "=r"(out[i + 2]), "=r"(out[i + 3])
                   : "r"(at + 4 * i)
                   : "memory");
    }
  }
}

/// A plane of a chunk: kUnits loads, each good for kUnitSteps steps.
template <int kSteps, int kBits>
struct Plane {
  static constexpr bool kShort = kBits == 1 && kSteps == 4;  // two steps' bits in a nibble
  static constexpr int kUnitSteps = kShort ? 4 : 8 / kBits;
  static constexpr int kUnitWords = kShort ? 2 : 4;
  static constexpr int kUnits = kSteps / kUnitSteps;
  static constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;

  uint32_t words[kUnits * kUnitWords];

  /// From memory or, given its address, shared memory.
  template <typename At>
  __device__ __forceinline__ void load(At plane, int unit, int lane) {
    load_words<kUnitWords>(plane + (unit * kLanes + lane) * (4 * kUnitWords),
                           words + unit * kUnitWords);
  }
  __device__ __forceinline__ void load_all(const std::byte* plane, int lane) {
#pragma unroll
    for (int unit = 0; unit < kUnits; ++unit) load(plane, unit, lane);
  }
  /// The word that holds the codes a(i) of a step.
  __device__ __forceinline__ uint32_t word(int step, int i) const {
    return words[step / kUnitSteps * kUnitWords + (kShort ? i / 2 : i)];
  }
  /// The codes a(i) of a step, one a byte.
  __device__ __forceinline__ uint32_t codes(int step, int i) const {
    const int shift = kBits == 8 ? 0 : step % kUnitSteps * kBits + (kShort ? i % 2 * 4 : 0);
    return (word(step, i) >> shift) & kMask;
  }
};
template <int kSteps>
struct Plane<kSteps, 0> {
  static constexpr int kUnits = 0;
  static constexpr int kUnitSteps = kSteps;
};

/// Bytes 0 and 1 (or 2 and 3) of a word as halves 1024 + byte.
template <bool kUpper>
__device__ __forceinline__ uint32_t bytes_to_f16x2(uint32_t word) {
  return __byte_perm(word, 0x64646464u, kUpper ? 0x4342 : 0x4140);
}

/// 1024 + n, twice.
constexpr uint32_t biased_f16x2(int n) {
  return (0x6400u + static_cast<uint32_t>(n)) * 0x00010001u;
}

/// kIq4Values[4 i .. 4 i + 3] + 128, as bytes.
constexpr uint32_t iq4_bytes(int i) {
  uint32_t word = 0;
  for (int j = 0; j < 4; ++j) {
    word |= static_cast<uint32_t>(kIq4Values[static_cast<size_t>(4 * i + j)] + 128) << (8 * j);
  }
  return word;
}

/// The values of the four codes in the low 16 bits, plus 128, as bytes.
__device__ __forceinline__ uint32_t iq4_lookup(uint32_t nibbles) {
  constexpr uint32_t kT0 = iq4_bytes(0), kT1 = iq4_bytes(1), kT2 = iq4_bytes(2), kT3 = iq4_bytes(3);
  const uint32_t low = __byte_perm(kT0, kT1, nibbles & 0x7777u);
  const uint32_t high = __byte_perm(kT2, kT3, nibbles & 0x7777u);
  return __byte_perm(low, high, ((nibbles >> 1) & 0x4444u) | 0x3210u);
}

/// A value of row g (low half) and of row g + 8.
struct RowPair {
  uint32_t scale = 0, minimum = 0;
};

/// The words of a chunk beside its codes: scales and sub-scales.
template <base::DType kType>
struct ChunkScales {
  static constexpr FragmentFormat kFormat = fragment_format(kType);
  static constexpr int kScales = kFormat.scales();
  static constexpr bool kSuper = kFormat.block == 256;
  static constexpr int kSubWords = kFormat.sub_bytes() / 32;  // of one g

  uint32_t scale[kScales];
  uint32_t minimum[kFormat.minimum ? kScales : 1];
  uint32_t sub[kSubWords > 0 ? kSubWords : 1];

  template <typename At>
  __device__ __forceinline__ void load(At chunk, int g) {
    if constexpr (kSuper && kFormat.minimum) {
      uint32_t both[2];
      load_words<2>(chunk + 8 * g, both);
      scale[0] = both[0], minimum[0] = both[1];
    } else {
      load_words<kScales>(chunk + g * kScales * 4, scale);
      if constexpr (kFormat.minimum) {
        load_words<kScales>(chunk + kScales * 32 + g * kScales * 4, minimum);
      }
    }
    if constexpr (kSubWords > 0) {
      load_words<kSubWords>(chunk + kFormat.scale_bytes() + g * kSubWords * 4, sub);
    }
  }

  /// Times kWeightFactor; a minimum that is to be subtracted changes its sign.
  __device__ __forceinline__ void apply_factor() {
    constexpr uint32_t kFactor = 0x50005000u;  // 32
    constexpr uint32_t kNegative = 0xd000d000u;
#pragma unroll
    for (int i = 0; i < kScales; ++i) {
      scale[i] = multiply_f16x2(scale[i], kFactor);
      if constexpr (kFormat.minimum) {
        minimum[i] = multiply_f16x2(minimum[i], kSuper ? kNegative : kFactor);
      }
    }
  }

  /// Of columns [32 step + 16 half, + 16): value = scale * (code - offset) + minimum.
  __device__ __forceinline__ RowPair of(int step, int half) const {
    const int group = kFormat.sub_columns == 16 ? 2 * step + half : step;
    if constexpr (kFormat.sub_scales == SubScales::kNone) {
      const int i = kSuper ? 0 : step * kStepColumns / kFormat.block;
      return {scale[i], kFormat.minimum ? minimum[i] : 0};
    } else if constexpr (kFormat.sub_scales == SubScales::kSigned) {
      const uint32_t s = integers(sub[group / 2] ^ 0x80808080u, group % 2, 128);
      return {multiply_f16x2(scale[0], s), 0};
    } else if constexpr (kFormat.sub_scales == SubScales::kMinimum) {
      return {multiply_f16x2(scale[0], integers(sub[group], 0, 0)),
              multiply_f16x2(minimum[0], integers(sub[group], 1, 0))};
    } else {
      const uint32_t low = sub[group / 2] & 0x0f0f0f0fu;
      const uint32_t high = (sub[group / 2] >> 4) & 0x0f0f0f0fu;
      return {multiply_f16x2(scale[0], integers(low, group % 2, 0)),
              multiply_f16x2(minimum[0], integers(high, group % 2, 0))};
    }
  }

 private:
  __device__ static __forceinline__ uint32_t integers(uint32_t word, int upper, int bias) {
    const uint32_t halves = upper ? bytes_to_f16x2<true>(word) : bytes_to_f16x2<false>(word);
    return subtract_f16x2(halves, biased_f16x2(bias));
  }
};

/// The words of a chunk in registers, as far as they are there, and what they stand for.
template <base::DType kType>
struct ChunkWords {
  static constexpr FragmentFormat kFormat = fragment_format(kType);
  static constexpr int kSteps = kFormat.steps;
  using Low = Plane<kSteps, kFormat.low_bits>;
  using High = Plane<kSteps, kFormat.high_bits>;

  ChunkScales<kType> scales;
  Low low;
  High high;

  /// a[0 .. 3] and a[4 .. 7] are the operands of the step's two halves.
  __device__ __forceinline__ void fragments(int step, uint32_t (&a)[8]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const RowPair pair = scales.of(step, half);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const uint32_t scale = __byte_perm(pair.scale, 0, row == 0 ? 0x1010 : 0x3232);
        const uint32_t minimum = __byte_perm(pair.minimum, 0, row == 0 ? 0x1010 : 0x3232);
        const int i = 2 * half + row;
        a[4 * half + row] = value(integers<false>(step, i), scale, minimum);
        a[4 * half + 2 + row] = value(integers<true>(step, i), scale, minimum);
      }
    }
  }

 private:
  /// Two codes less their offset.
  template <bool kUpper>
  __device__ __forceinline__ uint32_t integers(int step, int i) const {
    if constexpr (kFormat.lookup) {  // nibbles of two steps alternate; one lookup serves both
      const uint32_t values = iq4_lookup(kUpper ? low.word(step, i) >> 16 : low.word(step, i));
      const uint32_t halves = __byte_perm(values, 0x64646464u, step % 2 == 0 ? 0x4240 : 0x4341);
      return subtract_f16x2(halves, biased_f16x2(128));
    } else if constexpr (kFormat.low_bits == 8) {
      const uint32_t word = low.word(step, i) ^ 0x80808080u;
      return subtract_f16x2(bytes_to_f16x2<kUpper>(word), biased_f16x2(128));
    } else {
      uint32_t codes = low.codes(step, i);
      if constexpr (kFormat.high_bits > 0) codes |= high.codes(step, i) << kFormat.low_bits;
      return subtract_f16x2(bytes_to_f16x2<kUpper>(codes), biased_f16x2(kFormat.offset));
    }
  }

  static __device__ __forceinline__ uint32_t value(uint32_t integers, uint32_t scale,
                                                   uint32_t minimum) {
    if constexpr (kFormat.minimum) return fma_f16x2(integers, scale, minimum);
    return multiply_f16x2(integers, scale);
  }
};

/// One panel's weights as operands, quantised types. Calls in this order: start; for each chunk
/// begin_chunk; for each of its steps fragments, then advance; end_chunk.
template <base::DType kType>
class WeightStream {
 public:
  static constexpr FragmentFormat kFormat = fragment_format(kType);
  static constexpr int kSteps = kFormat.steps;
  static constexpr int kColumns = kFormat.columns();
  static constexpr int kChunkBytes = kFormat.chunk_bytes();
  static constexpr bool kIsBf16 = false;
  static constexpr bool kInPlace = false;

  static __host__ __device__ constexpr int chunks(int cols) {
    return (cols + kColumns - 1) / kColumns;
  }

  __device__ __forceinline__ void start(const std::byte* panel, int cols) {
    lane_ = static_cast<int>(threadIdx.x) % kLanes;
    chunk_ = panel;
    last_ = panel + (chunks(cols) - 1) * static_cast<int64_t>(kChunkBytes);
    words_.scales.load(panel, lane_ / 4);
    words_.scales.apply_factor();
    words_.low.load_all(panel + kFormat.low_offset(), lane_);
    if constexpr (kFormat.high_bits > 0) words_.high.load_all(panel + kFormat.high_offset(), lane_);
  }

  /// Words that all steps of a chunk need are loaded one chunk ahead beside the current ones. After
  /// the last chunk it is loaded again, in place of a branch.
  __device__ __forceinline__ void begin_chunk() {
    chunk_ = chunk_ == last_ ? chunk_ : chunk_ + kChunkBytes;
    next_scales_.load(chunk_, lane_ / 4);
    if constexpr (kLowAhead) next_low_.load_all(chunk_ + kFormat.low_offset(), lane_);
    if constexpr (kHighAhead) next_high_.load_all(chunk_ + kFormat.high_offset(), lane_);
  }

  /// a[0 .. 3] and a[4 .. 7] are the operands of the step's two halves.
  __device__ __forceinline__ void fragments(int step, uint32_t (&a)[8]) const {
    words_.fragments(step, a);
  }

  /// Words that no further step of the chunk needs give way to those of the next chunk.
  __device__ __forceinline__ void advance(int step) {
    constexpr int kLowSteps = Low::kUnitSteps;
    if constexpr (!kLowAhead) {
      if (step % kLowSteps == kLowSteps - 1) {
        words_.low.load(chunk_ + kFormat.low_offset(), step / kLowSteps, lane_);
      }
    }
    if constexpr (kFormat.high_bits > 0 && !kHighAhead) {
      constexpr int kHighSteps = High::kUnitSteps;
      if (step % kHighSteps == kHighSteps - 1) {
        words_.high.load(chunk_ + kFormat.high_offset(), step / kHighSteps, lane_);
      }
    }
  }

  __device__ __forceinline__ void end_chunk() {
    words_.scales = next_scales_;
    words_.scales.apply_factor();
    if constexpr (kLowAhead) words_.low = next_low_;
    if constexpr (kHighAhead) words_.high = next_high_;
  }

 private:
  using Low = typename ChunkWords<kType>::Low;
  using High = typename ChunkWords<kType>::High;
  struct Nothing {};
  /// Planes of one load have no time to be replaced in place.
  static constexpr bool kLowAhead = Low::kUnits == 1;
  static constexpr bool kHighAhead = High::kUnits == 1;

  ChunkWords<kType> words_;
  ChunkScales<kType> next_scales_;
  [[no_unique_address]] std::conditional_t<kLowAhead, Low, Nothing> next_low_;
  [[no_unique_address]] std::conditional_t<kHighAhead, High, Nothing> next_high_;
  const std::byte* chunk_;  // in front: the one whose words are being loaded
  const std::byte* last_;
  int lane_;
};

/// The same for f16 and bf16, whose words are the operands. A chunk is here 128 columns; where the
/// panel ends inside one, its last operand is repeated: the activations there are zeros. A step's
/// words are loaded three steps ahead, in place of those of the step before, so advance() comes
/// when that one's products are done.
template <base::DType kType>
requires(kType == base::DType::kF16 || kType == base::DType::kBF16) class WeightStream<kType> {
 public:
  static constexpr int kSteps = 4;
  static constexpr int kColumns = kSteps * kStepColumns;
  static constexpr int kChunkBytes = kColumns * kPanelRows * 2;
  static constexpr bool kIsBf16 = kType == base::DType::kBF16;
  static constexpr bool kInPlace = true;

  static __host__ __device__ constexpr int chunks(int cols) {
    return (cols + kColumns - 1) / kColumns;
  }

  __device__ __forceinline__ void start(const std::byte* panel, int cols) {
    panel_ = panel + static_cast<int>(threadIdx.x) % kLanes * 4;
    first_ = 0;
    last_ = (cols + kHalfChunkColumns - 1) / kHalfChunkColumns * 4 - 1;
#pragma unroll
    for (int step = 0; step + 1 < kSteps; ++step) load(step);
  }
  __device__ __forceinline__ void begin_chunk() {}
  /// The operands of the step's halves, where they are.
  __device__ __forceinline__ const uint32_t* operands(int step) const {
    return words_ + 8 * step;
  }
  __device__ __forceinline__ void advance(int step) {
    if (step == 0) {
      load(kSteps - 1);
      first_ += 2 * kSteps;
    } else {
      load(step - 1);
    }
  }
  __device__ __forceinline__ void end_chunk() {}

 private:
  __device__ __forceinline__ void load(int step) {
#pragma unroll
    for (int i = 2 * step; i < 2 * step + 2; ++i) {
      const int operand = min(first_ + i, last_);
      const std::byte* at =
          panel_ + operand / 4 * kHalfChunkBytes + operand % 4 * (2 * kHalfPieceBytes);
      load_words<1>(at, words_ + 4 * i);
      load_words<1>(at + kHalfRowsBytes, words_ + 4 * i + 1);
      load_words<1>(at + kHalfPieceBytes, words_ + 4 * i + 2);
      load_words<1>(at + kHalfRowsBytes + kHalfPieceBytes, words_ + 4 * i + 3);
    }
  }

  uint32_t words_[8 * kSteps];
  const std::byte* panel_;  // this lane's words
  int first_;               // operand of the chunk that is being loaded
  int last_;                // of the panel
};

/// One panel's weights as operands, chunk by chunk from shared memory, quantised types.
template <base::DType kType>
class SharedWeights {
  using Words = ChunkWords<kType>;

 public:
  static constexpr int kSteps = Words::kSteps;
  static constexpr int kColumns = Words::kFormat.columns();
  static constexpr int kChunkBytes = Words::kFormat.chunk_bytes();
  static constexpr bool kIsBf16 = false;

  __device__ __forceinline__ explicit SharedWeights(int) {}

  /// `at`: where the panel's chunk lies.
  __device__ __forceinline__ void begin_chunk(uint32_t at, int) {
    at_ = at;
    words_.scales.load(at, lane() / 4);
    words_.scales.apply_factor();
  }
  /// The operands of a step's two halves; steps come in order.
  __device__ __forceinline__ void fragments(int step, uint32_t (&a)[8]) {
    constexpr FragmentFormat kFormat = Words::kFormat;
    constexpr int kLowSteps = Words::Low::kUnitSteps, kHighSteps = Words::High::kUnitSteps;
    if (step % kLowSteps == 0) {
      words_.low.load(at_ + kFormat.low_offset(), step / kLowSteps, lane());
    }
    if constexpr (kFormat.high_bits > 0) {
      if (step % kHighSteps == 0) {
        words_.high.load(at_ + kFormat.high_offset(), step / kHighSteps, lane());
      }
    }
    words_.fragments(step, a);
  }

 private:
  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }

  Words words_;
  uint32_t at_ = 0;
};

}  // namespace neuros::kernels::cuda::prefill
