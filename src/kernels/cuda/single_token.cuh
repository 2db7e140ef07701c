#pragma once

/// What a warp does with one chunk of a panel for a single token.
///
/// Quantised types. An instruction has columns for eight tokens; here a step of 32 columns takes
/// one of them, and its neighbours the others: the activations of every step but one are zeros
/// there. The sums of up to eight steps then lie in one result, one step to a lane, and each lane
/// scales its own.
///
/// Lane 4 g + t has rows g and g + 8 of steps t and, in chunks of eight steps, t + 4: instruction
/// columns 2 t and 2 t + 1. It gives the activations of instruction column g.
///
/// 16-bit floats. Their sums go on from step to step: the token has instruction column 0, and the
/// others are zeros. The lanes with t = 0 have its rows g and g + 8.
///
/// Same float operations in the same order as decode_chunks.cuh, so the same bits.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/launch.cuh"

namespace neuros::kernels::cuda {

/// A token's prepared activations, in shared memory: tiles of one token.
struct SingleActivations {
  const std::byte* values;
  const float* scales;
  int columns;  ///< padded
};

/// mma_32_columns() and mma_16_columns() that add to c.
template <bool kUnsigned>
__device__ __forceinline__ void add_32_columns(int (&c)[4], const uint32_t (&a)[4], uint2 b) {
  if constexpr (kUnsigned) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
  }
}
template <bool kUnsigned>
__device__ __forceinline__ void add_16_columns(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  if constexpr (kUnsigned) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(b));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(b));
  }
}

/// The factors of one step of a chunk, which differs from lane to lane: what RowScales has of it.
template <FragmentFormat kFormat>
class StepScales {
 public:
  /// Step 4 part + t of the chunk.
  __device__ __forceinline__ StepScales(const std::byte* chunk, int part, int g, int t) {
    const auto* words = reinterpret_cast<const uint32_t*>(chunk);
    if constexpr (kFormat.sub_scales == SubScales::kNone) {
      constexpr int kScales = kFormat.scales();
      const int at = g * kScales + t / (kStepsAtOnce / kScales);
      d_ = halves_to_floats(words[at]);
      if constexpr (kFormat.minimum) m_ = halves_to_floats(words[8 * kScales + at]);
    } else {
      const int at = g * (kFormat.minimum ? 2 : 1);
      d_ = halves_to_floats(words[at]);
      if constexpr (kFormat.minimum) {
        const RowPair m = halves_to_floats(words[at + 1]);
        m_ = {{-m.at[0], -m.at[1]}};
      }
      const std::byte* of_rows = chunk + kFormat.scale_bytes() + g * (kFormat.sub_bytes() / 8) +
                                 part * (kFormat.sub_bytes() / 16);
      if constexpr (kFormat.sub_bytes() == 256) {
        sub_ = reinterpret_cast<const uint32_t*>(of_rows)[t];
      } else {
        sub_ = reinterpret_cast<const uint16_t*>(of_rows)[t];
      }
    }
  }

  __device__ __forceinline__ PieceFactors factors(int piece) const {
    if constexpr (kFormat.sub_scales == SubScales::kNone) {
      PieceFactors out{d_, {}};
      if constexpr (kFormat.minimum) out.minimum = m_;
      return out;
    } else {
      PieceFactors out{};
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        float& scale = out.scale.at[row];
        if constexpr (kFormat.sub_scales == SubScales::kMinimum) {
          scale = scale_byte(d_.at[row], sub_, row);
          out.minimum.at[row] = scale_byte(m_.at[row], sub_, 2 + row);
        } else if constexpr (kFormat.sub_scales == SubScales::kNibbles) {
          scale = scale_byte(d_.at[row], sub_ & 0x0f0f0f0fu, 2 * piece + row);
          out.minimum.at[row] = scale_byte(m_.at[row], (sub_ >> 4) & 0x0f0f0f0fu, 2 * piece + row);
        } else if constexpr (kFormat.sub_columns == 16) {
          scale = scale_signed_byte(d_.at[row], sub_ ^ 0x80808080u, 2 * piece + row);
        } else {
          scale = scale_signed_byte(d_.at[row], sub_ ^ 0x8080u, row);
        }
      }
      return out;
    }
  }

 private:
  RowPair d_, m_;
  uint32_t sub_ = 0;
};

/// Codes of four steps in the bytes of words, each step's times a power of two: what it costs least
/// to take out of a plane. Sums are so much larger, dx so much smaller; both are exact.
template <FragmentFormat kFormat>
class ShiftedCodes {
 public:
  static constexpr bool kIsShifted =
      kFormat.high_bits == 0 && !kFormat.lookup && kFormat.low_bits < 8;
  static __device__ __forceinline__ StepCodes read(const std::byte* chunk, int part, int lane) {
    if constexpr (!kIsShifted) {
      return read_codes<kFormat>(chunk, part, lane);
    } else {
      constexpr uint32_t kMask = ((1u << kFormat.low_bits) - 1u) * 0x01010101u;
      constexpr int kStepsOfWords = 8 / kFormat.low_bits, kLoads = kStepsAtOnce / kStepsOfWords;
      const uint4* plane = reinterpret_cast<const uint4*>(chunk + kFormat.low_offset()) + lane;
      StepCodes out;
#pragma unroll
      for (int load = 0; load < kLoads; ++load) {
        uint32_t words[4];
        to_words(plane[(kLoads * part + load) * kLanes], words);
#pragma unroll
        for (int s = 0; s < kStepsOfWords; ++s) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            out.a[kStepsOfWords * load + s][i] = words[i] & (kMask << (kFormat.low_bits * s));
          }
        }
      }
      return out;
    }
  }
};

/// Quantised types. `acc`: [0] and [1] are rows g and g + 8, of this lane's steps.
template <FragmentFormat kFormat>
class SingleBlockChunk {
  using Chunk = BlockChunk<kFormat>;
  using Codes = ShiftedCodes<kFormat>;
  static constexpr int kParts = kFormat.steps / kStepsAtOnce;

  /// Of the lane's step: for each piece, rows g and g + 8.
  struct RowSums {
    int at[kPieces<kFormat>][2];
  };

 public:
  __device__ __forceinline__ SingleBlockChunk() : lane_(thread_index() % kLanes) {
#pragma unroll
    for (int s = 0; s < kStepsAtOnce; ++s) mask_[s] = lane_ / 8 == s ? ~0u : 0u;
    shrink_ = __uint_as_float(static_cast<uint32_t>(127 - shift_of(lane_ % 4)) << 23);
  }

  /// Where a lane finds what it needs of the first chunk's activations: the codes that it gives,
  /// columns 4 t .. + 3 and the same + 16 of its step, and its step's scales.
  struct Place {
    const std::byte* codes;
    const float* scales;
  };
  __device__ __forceinline__ Place place(const SingleActivations& x) const {
    const int g = lane_ / 4, t = lane_ % 4;
    const int part = g % 2 < kParts ? g % 2 : 0;
    return {x.values + part * kTokenCodeBytes + t * 32 + g / 2 * 8,
            x.scales + (kPieces<kFormat> == 1 ? 2 : 4) * t};
  }

  /// What a lane needs of a chunk's activations.
  struct Activations {
    uint2 own;  ///< codes that it gives
    float dx[kParts], dx_sum[kParts][kPieces<kFormat>];
  };
  __device__ __forceinline__ Activations activations(const Place& x, int chunk) const {
    Activations out;
    out.own = *reinterpret_cast<const uint2*>(x.codes + chunk * kParts * kTokenCodeBytes);
    const int t = lane_ % 4;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const float* scales = x.scales + (chunk * kParts + part) * kPairFloats;
      out.dx[part] = kPieces<kFormat> == 1 ? scales[0] : scales[-2 * t];
      if constexpr (Codes::kIsShifted) out.dx[part] = __fmul_rn(out.dx[part], shrink_);
#pragma unroll
      for (int piece = 0; piece < kPieces<kFormat>; ++piece) {
        out.dx_sum[part][piece] = 0.0f;
        if constexpr (Chunk::kNeedsSums) {
          out.dx_sum[part][piece] = kPieces<kFormat> == 1 ? scales[8] : scales[16 + 2 * piece];
        }
      }
    }
    return out;
  }

  /// Adds a chunk.
  __device__ __forceinline__ void multiply(const std::byte* weights, const Activations& x,
                                           float (&acc)[4]) const {
    RowSums sums[kParts];
#pragma unroll
    for (int part = 0; part < kParts; ++part) add_part(weights, x, part, sums);
#pragma unroll
    for (int part = 0; part < kParts; ++part) scale_sums(weights, x, part, sums[part], acc);
  }

  /// The lane's rows, added over the lanes that share them: even ones for row g, odd ones for
  /// g + 8. `of_lane`: row_of_lane() of the item's sums.
  __device__ __forceinline__ int row_of_lane() const {
    return lane_ / 4 + lane_ % 2 * 8;
  }
  __device__ __forceinline__ void leave(const float (&acc)[4], float* of_lane) const {
    const bool is_odd = lane_ % 2 == 1;
    float sum = is_odd ? acc[1] : acc[0];
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, is_odd ? acc[0] : acc[1], 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 2));
    if (lane_ % 4 < 2) *of_lane = sum;
  }

 private:
  static __device__ __forceinline__ int shift_of(int step) {
    if constexpr (!Codes::kIsShifted) return 0;
    return kFormat.low_bits == 4 ? step % 2 * 4 : 2 * step;
  }

  __device__ __forceinline__ void add_part(const std::byte* weights, const Activations& x, int part,
                                           RowSums (&out)[kParts]) const {
    const bool is_part = lane_ / 4 % 2 == part;
    const StepCodes codes = Codes::read(weights, part, lane_);
    const uint2 given = make_uint2(is_part ? x.own.x : 0, is_part ? x.own.y : 0);
    int sums[kPieces<kFormat>][4];
#pragma unroll
    for (int i = 0; i < 4 * kPieces<kFormat>; ++i) sums[i / 4][i % 4] = kSumBaseBits;
#pragma unroll
    for (int s = 0; s < kStepsAtOnce; ++s) add_step(codes, s, given, sums);
#pragma unroll
    for (int piece = 0; piece < kPieces<kFormat>; ++piece) {
      out[part].at[piece][0] = sums[piece][part];
      out[part].at[piece][1] = sums[piece][2 + part];
    }
  }

  __device__ __forceinline__ void add_step(const StepCodes& codes, int s, uint2 given,
                                           int (&sums)[kPieces<kFormat>][4]) const {
    const uint2 b = make_uint2(given.x & mask_[s], given.y & mask_[s]);
    if constexpr (kPieces<kFormat> == 1) {
      add_32_columns<Chunk::kUnsigned>(sums[0], codes.a[s], b);
    } else {
      add_16_columns<Chunk::kUnsigned>(sums[0], codes.a[s][0], codes.a[s][1], b.x);
      add_16_columns<Chunk::kUnsigned>(sums[1], codes.a[s][2], codes.a[s][3], b.y);
    }
  }

  __device__ __forceinline__ void scale_sums(const std::byte* weights, const Activations& x,
                                             int part, const RowSums& sums, float (&acc)[4]) const {
    const StepScales<kFormat> of_step(weights, part, lane_ / 4, lane_ % 4);
#pragma unroll
    for (int piece = 0; piece < kPieces<kFormat>; ++piece) {
      const PieceFactors factors = of_step.factors(piece);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        Chunk::add_one(sums.at[piece][row], factors.scale.at[row], factors.minimum.at[row],
                       x.dx[part], x.dx_sum[part][piece], acc[row]);
      }
    }
  }

  const int lane_;
  uint32_t mask_[kStepsAtOnce];  ///< all bits where this lane gives the codes of a step
  float shrink_;                 ///< what undoes the shift of this lane's codes
};

/// 16-bit floats of which the row has whole chunks. `acc`: of the lanes that have results, [0] is
/// row g and [2] row g + 8.
template <ActivationKind kKind>
class SingleHalfChunk {
  using Chunk = HalfChunk<kKind>;

 public:
  __device__ __forceinline__ SingleHalfChunk() : lane_(thread_index() % kLanes) {}

  /// Where a lane finds the first chunk's activations: columns 4 t .. + 3 of its first step.
  struct Place {
    const uint2* values;
    bool gives;  ///< else it gives zeros
  };
  __device__ __forceinline__ Place place(const SingleActivations& x) const {
    return {reinterpret_cast<const uint2*>(x.values) + lane_ % 4, lane_ < 4};
  }

  struct Activations {
    uint2 of_step[Chunk::kSteps];
  };
  static __device__ __forceinline__ Activations activations(const Place& x, int chunk) {
    Activations out;
#pragma unroll
    for (int s = 0; s < Chunk::kSteps; ++s) {
      out.of_step[s] = make_uint2(0, 0);
      if (x.gives) out.of_step[s] = x.values[chunk * (Chunk::kColumns / 4) + 4 * s];
    }
    return out;
  }

  /// Adds a chunk.
  __device__ __forceinline__ void multiply(const std::byte* weights, const Activations& x,
                                           float (&acc)[4]) const {
    uint4 a[Chunk::kSteps];
#pragma unroll
    for (int s = 0; s < Chunk::kSteps; ++s) {
      a[s] = half_operand(weights + s * kHalfStepRowsBytes, kHalfRowsBytes, lane_);
    }
#pragma unroll
    for (int s = 0; s < Chunk::kSteps; ++s) Chunk::multiply_step(acc, a[s], x.of_step[s]);
  }

  /// `of_lane`: row_of_lane() of the item's sums.
  __device__ __forceinline__ int row_of_lane() const {
    return lane_ / 4;
  }
  __device__ __forceinline__ void leave(const float (&acc)[4], float* of_lane) const {
    if (lane_ % 4 != 0) return;
    of_lane[0] = acc[0];
    of_lane[8] = acc[2];
  }

 private:
  const int lane_;
};

}  // namespace neuros::kernels::cuda
