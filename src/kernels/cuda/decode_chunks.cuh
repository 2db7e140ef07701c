#pragma once

/// What a warp does with one chunk of a panel: multiply its 16 rows by the tokens of a group. One
/// class for quantised types and one for 16-bit floats; a kernel takes either.
///
/// Bits: for a row and a token the sequence of float operations is the same wherever the token
/// stands in its tile and whatever the other tokens are, and no operation is left to the compiler
/// to fuse. The columns of a row are cut into groups; steps of 32 columns of quantised types go,
/// by their place in 128 columns, to one of four partial sums of their group.

#include "kernels/cuda/activation_pieces.h"
#include "kernels/cuda/decode_codes.cuh"
#include "kernels/cuda/mma.cuh"

namespace neuros::kernels::cuda {

/// A quarter of the groups' sums, added in their order; `stride` floats from one to the next.
__device__ __forceinline__ float sum_of_quarter(const float* sums, int stride, int groups,
                                                int quarter) {
  float sum = 0.0f;
  for (int i = quarter * groups / 4; i < (quarter + 1) * groups / 4; ++i) {
    sum = __fadd_rn(sum, sums[i * stride]);
  }
  return sum;
}
__device__ __forceinline__ float sum_of_groups(const float* sums, int stride, int groups) {
  const float lower =
      __fadd_rn(sum_of_quarter(sums, stride, groups, 0), sum_of_quarter(sums, stride, groups, 1));
  const float upper =
      __fadd_rn(sum_of_quarter(sums, stride, groups, 2), sum_of_quarter(sums, stride, groups, 3));
  return __fadd_rn(lower, upper);
}

/// Result i of a lane, from its partial sums.
template <int kPartials>
__device__ __forceinline__ float sum_of_partials(const float (&partials)[kPartials][4], int i) {
  if constexpr (kPartials == 1)
    return partials[0][i];
  else
    return __fadd_rn(__fadd_rn(partials[0][i], partials[1][i]),
                     __fadd_rn(partials[2][i], partials[3][i]));
}

/// To 1e-6 or so: an exact quotient takes some 40 instructions more.
__device__ __forceinline__ float silu(float value) {
  return __fdividef(value, 1.0f + __expf(-value));
}

/// Prepared activations of a group of up to kTiles tiles, from its first token on.
struct GroupActivations {
  PreparedActivations at;
  int tokens;   ///< of the group
  int columns;  ///< padded columns of a token
};

template <FragmentFormat kFormat>
class BlockChunk {
 public:
  static constexpr ActivationKind kKind = ActivationKind::kQ8;
  static constexpr int kBytes = kFormat.chunk_bytes();
  static constexpr int kColumns = kFormat.columns();
  static constexpr int kPartials = kStepsAtOnce;

  static constexpr int kParts = kFormat.steps / kStepsAtOnce;

  /// What a lane needs of 128 columns of a tile: codes of token g, scales of tokens 2 t, 2 t + 1.
  struct TileValues {
    uint2 codes[kStepsAtOnce];
    float2 dx[kStepsAtOnce];
    float2 sum[kStepsAtOnce][kPieces<kFormat>];  ///< dx * sum of codes
  };

  template <int kTiles>
  static __device__ __forceinline__ void multiply(const std::byte* weights, int chunk,
                                                  const GroupActivations& x,
                                                  float (&acc)[kTiles][kPartials][4]) {
    const int lane = threadIdx.x % kLanes, tiles = (x.tokens + kTileTokens - 1) / kTileTokens;
#pragma unroll 1
    for (int part = 0; part < kParts; ++part) {  // one after another: registers
      const auto read = [&](int tile) { return read_tile(x, chunk * kParts + part, tile, lane); };
      multiply_part(weights, part, tiles, read, acc);
    }
  }

  /// 128 columns of a chunk by the first `tiles` tiles; read(tile) gives their TileValues.
  template <int kTiles, typename Count, typename Read>
  static __device__ __forceinline__ void multiply_part(const std::byte* weights, int part,
                                                       Count tiles, Read read,
                                                       float (&acc)[kTiles][kPartials][4]) {
    const int lane = threadIdx.x % kLanes;
    const StepCodes codes = read_codes<kFormat>(weights, part, lane);
    const RowScales<kFormat> scales(weights, part, lane / 4);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      if (tile >= tiles) break;
      multiply_tile(codes, scales, read(tile), acc[tile]);
    }
  }

  /// A tile of a piece (activation_pieces.h).
  static __device__ __forceinline__ TileValues read_piece(const std::byte* piece, int tile) {
    const int lane = threadIdx.x % kLanes;
    TileValues out;
    const std::byte* at = piece + tile * kTilePieceBytes;
    const uint4* codes = reinterpret_cast<const uint4*>(at) + lane;
    const uint4 first = codes[0], second = codes[kLanes];
    out.codes[0] = make_uint2(first.x, first.y), out.codes[1] = make_uint2(first.z, first.w);
    out.codes[2] = make_uint2(second.x, second.y), out.codes[3] = make_uint2(second.z, second.w);
    const auto* quads = reinterpret_cast<const float4*>(at + kTileCodeBytes) + lane % 4;
    read_scales([&](int i) { return quads[4 * i]; }, out);
    return out;
  }

  static constexpr bool kUnsigned = kFormat.offset != -1;
  static constexpr bool kHasOffset = kFormat.offset > 0;
  static constexpr bool kNeedsSums = kHasOffset || kFormat.minimum;

  /// Adds the sum over a piece for one row and one token.
  static __device__ __forceinline__ void add_one(int sum, float scale, float minimum, float dx,
                                                 float dx_sum, float& acc) {
    float product;
    if constexpr (kHasOffset) {
      const float moved = __fmul_rn(static_cast<float>(-kFormat.offset), dx_sum);
      product = __fmaf_rn(dx, sum_as_float(sum), moved);
    } else {
      product = __fmul_rn(dx, sum_as_float(sum));
    }
    acc = __fmaf_rn(scale, product, acc);
    if constexpr (kFormat.minimum) acc = __fmaf_rn(minimum, dx_sum, acc);
  }

 private:
  static __device__ __forceinline__ void to_pairs(float4 from, float2& first, float2& second) {
    first = make_float2(from.x, from.y);
    second = make_float2(from.z, from.w);
  }

  /// quad(i): floats 4 i .. 4 i + 3 of the lane's pair of tokens.
  template <typename Quad>
  static __device__ __forceinline__ void read_scales(Quad quad, TileValues& out) {
    to_pairs(quad(0), out.dx[0], out.dx[1]);
    to_pairs(quad(1), out.dx[2], out.dx[3]);
    if constexpr (kNeedsSums && kPieces<kFormat> == 1) {
      to_pairs(quad(2), out.sum[0][0], out.sum[1][0]);
      to_pairs(quad(3), out.sum[2][0], out.sum[3][0]);
    } else if constexpr (kNeedsSums) {
#pragma unroll
      for (int s = 0; s < kStepsAtOnce; ++s) to_pairs(quad(4 + s), out.sum[s][0], out.sum[s][1]);
    }
  }

  /// Lanes whose tokens are not there load nothing: the results they work on are nobody's.
  static __device__ __forceinline__ TileValues read_tile(const GroupActivations& x, int chunk,
                                                         int tile, int lane) {
    TileValues out{};
    const int place = tile * (x.columns / kChunkColumns) + chunk;
    if (tile * kTileTokens + lane / 4 < x.tokens) {
      const auto* codes =
          reinterpret_cast<const uint4*>(x.at.values + place * x.at.chunk_bytes() + lane * 32);
      const uint4 first = codes[0], second = codes[1];
      out.codes[0] = make_uint2(first.x, first.y), out.codes[1] = make_uint2(first.z, first.w);
      out.codes[2] = make_uint2(second.x, second.y), out.codes[3] = make_uint2(second.z, second.w);
    }
    if (tile * kTileTokens + lane % 4 * 2 < x.tokens) {
      const auto* scales = reinterpret_cast<const float4*>(
          x.at.scales + place * x.at.chunk_floats() + lane % 4 * kPairFloats);
      read_scales([&](int i) { return scales[i]; }, out);
    }
    return out;
  }

  static __device__ __forceinline__ void multiply_tile(const StepCodes& codes,
                                                       const RowScales<kFormat>& scales,
                                                       const TileValues& x,
                                                       float (&acc)[kPartials][4]) {
#pragma unroll
    for (int s = 0; s < kStepsAtOnce; ++s) {
      int sums[4];
      if constexpr (kPieces<kFormat> == 1) {
        mma_32_columns<kUnsigned>(sums, codes.a[s], x.codes[s]);
        add(sums, scales.factors(s, 0), x.dx[s], x.sum[s][0], acc[s]);
      } else {
        mma_16_columns<kUnsigned>(sums, codes.a[s][0], codes.a[s][1], x.codes[s].x);
        add(sums, scales.factors(s, 0), x.dx[s], x.sum[s][0], acc[s]);
        mma_16_columns<kUnsigned>(sums, codes.a[s][2], codes.a[s][3], x.codes[s].y);
        add(sums, scales.factors(s, 1), x.dx[s], x.sum[s][1], acc[s]);
      }
    }
  }

  static __device__ __forceinline__ void add(const int (&sums)[4], const PieceFactors& factors,
                                             float2 dx, float2 sum, float (&acc)[4]) {
    const float dx_of[2]{dx.x, dx.y}, sum_of[2]{sum.x, sum.y};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = i / 2, token = i % 2;
      add_one(sums[i], factors.scale.at[row], factors.minimum.at[row], dx_of[token], sum_of[token],
              acc[i]);
    }
  }
};

/// The A operand of a step of 16-bit weights in shared memory, `rows_bytes` from the pieces of its
/// first eight rows to those of the others. Lane 8 m + r gives ldmatrix the address of row r of
/// matrix m.
__device__ __forceinline__ uint4 half_operand(const std::byte* step, int rows_bytes, int lane) {
  const int place = lane / 8 % 2 * rows_bytes + lane / 16 * kHalfPieceBytes;
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(step + place + lane % 8 * 16));
  uint4 a;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(a.x), "=r"(a.y), "=r"(a.z), "=r"(a.w)
               : "r"(at)
               : "memory");
  return a;
}

/// Four steps of 16 columns of f16 or bf16; the last chunk of a panel may have fewer that count.
template <ActivationKind kActivations>
class HalfChunk {
 public:
  static constexpr ActivationKind kKind = kActivations;
  static constexpr int kBytes = kHalfChunkBytes;
  static constexpr int kColumns = kHalfChunkColumns;
  static constexpr int kSteps = kColumns / 16;
  static constexpr int kPartials = 1;

  template <int kTiles>
  static __device__ __forceinline__ void multiply(const std::byte* weights, int chunk,
                                                  const GroupActivations& x,
                                                  float (&acc)[kTiles][kPartials][4]) {
    const int lane = threadIdx.x % kLanes;
    const int steps = x.columns / 16 - chunk * kSteps;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      if (s >= steps) break;
      const uint4 a = half_operand(weights + s * kHalfStepRowsBytes, kHalfRowsBytes, lane);
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        if (tile * kTileTokens >= x.tokens) break;
        const int token = tile * kTileTokens + lane / 4;
        uint2 b = make_uint2(0, 0);
        if (token < x.tokens) {
          const std::byte* row = x.at.values + token * x.columns * 2;
          b = *reinterpret_cast<const uint2*>(row + (chunk * kColumns + s * 16 + lane % 4 * 4) * 2);
        }
        multiply_step(acc[tile][0], a, b);
      }
    }
  }

  /// One step of a tile.
  static __device__ __forceinline__ void multiply_step(float (&acc)[4], uint4 a, uint2 b) {
    if constexpr (kKind == ActivationKind::kBF16) {
      mma_bf16(acc, a, b);
    } else {
      mma_f16(acc, a, b);
    }
  }
};

}  // namespace neuros::kernels::cuda
