#pragma once

/// What a warp does with one chunk of a panel for a single token. An instruction has columns for
/// eight tokens; here a step of 32 columns takes one of them, and its neighbours the others: the
/// activations of every step but one are zeros there. The sums of up to eight steps then lie in one
/// result, one step to a lane, and each lane scales its own.
///
/// Lane 4 g + t has rows g and g + 8 of steps t and, in chunks of eight steps, t + 4: instruction
/// columns 2 t and 2 t + 1. It gives the activations of instruction column g.
///
/// Same float operations in the same order as decode_chunks.cuh, so the same bits.

#include "kernels/cuda/decode_chunks.cuh"

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

/// Quantised types. `acc`: [0] and [1] are rows g and g + 8, of this lane's steps.
template <FragmentFormat kFormat>
class SingleBlockChunk {
  using Chunk = BlockChunk<kFormat>;

 public:
  static constexpr int kBytes = Chunk::kBytes;

  static __device__ __forceinline__ void multiply(const std::byte* weights, int chunk,
                                                  const SingleActivations& x, float (&acc)[4]) {
    const int lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
    const uint2 own = own_codes(x, chunk, g, t);
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      int sums[kPieces<kFormat>][4];
#pragma unroll
      for (int piece = 0; piece < kPieces<kFormat>; ++piece) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[piece][i] = kSumBaseBits;
      }
      const StepCodes codes = read_codes<kFormat>(weights, part, lane);
#pragma unroll
      for (int s = 0; s < kStepsAtOnce; ++s) {
        const bool is_own = g == 2 * s + part;
        const uint2 b = make_uint2(is_own ? own.x : 0, is_own ? own.y : 0);
        if constexpr (kPieces<kFormat> == 1) {
          add_32_columns<Chunk::kUnsigned>(sums[0], codes.a[s], b);
        } else {
          add_16_columns<Chunk::kUnsigned>(sums[0], codes.a[s][0], codes.a[s][1], b.x);
          add_16_columns<Chunk::kUnsigned>(sums[1], codes.a[s][2], codes.a[s][3], b.y);
        }
      }
      scale_sums(weights, x, chunk, part, sums, acc);
    }
  }

  /// The lane's rows, added over the lanes that share them.
  static __device__ __forceinline__ void leave(const float (&acc)[4], float* of_rows) {
    const int lane = threadIdx.x % kLanes;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float sum = acc[row];
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 1));
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 2));
      if (lane % 4 == row) of_rows[lane / 4 + 8 * row] = sum;
    }
  }

 private:
  static constexpr int kParts = kFormat.steps / kStepsAtOnce;

  /// The codes that this lane gives: columns 4 t .. + 3 and the same + 16 of its step.
  static __device__ __forceinline__ uint2 own_codes(const SingleActivations& x, int chunk, int g,
                                                    int t) {
    const int part = g % 2;
    if (part >= kParts) return make_uint2(0, 0);
    return *reinterpret_cast<const uint2*>(x.values + (chunk * kParts + part) * kTokenCodeBytes +
                                           t * 32 + g / 2 * 8);
  }

  static __device__ __forceinline__ void scale_sums(const std::byte* weights,
                                                    const SingleActivations& x, int chunk, int part,
                                                    const int (&sums)[kPieces<kFormat>][4],
                                                    float (&acc)[4]) {
    const int lane = threadIdx.x % kLanes, t = lane % 4;
    const float* scales = x.scales + (chunk * kParts + part) * kPairFloats;
    const float dx = scales[2 * t];
    const StepScales<kFormat> of_step(weights, part, lane / 4, t);
#pragma unroll
    for (int piece = 0; piece < kPieces<kFormat>; ++piece) {
      float dx_sum = 0.0f;
      if constexpr (Chunk::kNeedsSums) {
        dx_sum = kPieces<kFormat> == 1 ? scales[8 + 2 * t] : scales[16 + 4 * t + 2 * piece];
      }
      const PieceFactors factors = of_step.factors(piece);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        Chunk::add_one(sums[piece][2 * row + part], factors.scale.at[row], factors.minimum.at[row],
                       dx, dx_sum, acc[row]);
      }
    }
  }
};

/// f16 and bf16: the token is the first of eight.
template <ActivationKind kKind>
class SingleHalfChunk {
  using Chunk = HalfChunk<kKind>;

 public:
  static constexpr int kBytes = Chunk::kBytes;

  static __device__ __forceinline__ void multiply(const std::byte* weights, int chunk,
                                                  const SingleActivations& x, float (&acc)[4]) {
    PreparedActivations at;
    at.values = const_cast<std::byte*>(x.values);
    float(&whole)[1][1][4] = reinterpret_cast<float(&)[1][1][4]>(acc);
    Chunk::template multiply<1>(weights, chunk, GroupActivations{at, 1, x.columns}, whole);
  }

  static __device__ __forceinline__ void leave(const float (&acc)[4], float* of_rows) {
    const int lane = threadIdx.x % kLanes;
    if (lane % 4 != 0) return;
    of_rows[lane / 4] = acc[0];
    of_rows[lane / 4 + 8] = acc[2];
  }
};

}  // namespace neuros::kernels::cuda
