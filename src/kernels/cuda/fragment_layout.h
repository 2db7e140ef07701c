#pragma once

/// "Fragment panels": the one layout in which CUDA kernels keep their weights.
///
/// A panel is 16 rows of the matrix (the last one padded with zeros); panels follow one another, so
/// that rows [16 i, 16 j) are a contiguous range. Inside a panel weights lie in the order in which
/// the lanes of a warp hold the A operand of a matrix instruction (PTX ISA, "Matrix Fragments for
/// mma.m16n8k32" and ".m16n8k16"). Of quantised types each lane loads 16 bytes at a time, a warp
/// 512 contiguous ones. Lane = 4 g + t, g in [0, 8), t in [0, 4): it holds rows g and g + 8.
///
/// 16-bit types. A chunk is 64 columns, 2048 bytes: for rows 0 .. 7, then for rows 8 .. 15, eight
/// pieces of 8 columns; a piece is eight rows of 16 bytes, one after another. Such a piece is a
/// "core matrix" of wgmma, which reads chunks from shared memory as they are, and a matrix of
/// ldmatrix; word `lane` of its 32 is what a lane holds of it. Pieces 2s and 2s + 1 are step s, 16
/// columns, in the order of columns below: place 2t + e of the first has column 4t + e, place 2t +
/// e of the second column 4t + 2 + e (e < 2), so that a lane holds
///   {row g: columns 4t, 4t+1} {row g+8: the same} {row g: 4t+2, 4t+3} {row g+8: the same}.
/// The instruction calls these columns 2t, 2t+1, 2t+8, 2t+9; the order of columns inside 16 does
/// not change a sum as long as the B operand has the same order. In natural order, a lane's B
/// operand is the four contiguous columns 4t .. 4t+3. Columns are padded with zeros to whole
/// chunks.
///
/// f32. Rows as in the file, each padded with zeros to a multiple of 4 columns (16 bytes).
///
/// Quantised types. A step is 32 columns: a lane's four words a0 .. a3 hold four codes each (one a
/// byte, the lowest column in the lowest byte):
///   a0 {row g: columns 4t .. 4t+3}      a1 {row g+8: the same}
///   a2 {row g: columns 16+4t .. 16+4t+3} a3 {row g+8: the same}.
/// (a0, a1) and (a2, a3) are the A operands of two m16n8k16 int8 instructions; expanded to halves,
/// each is the A operand of a 16-bit step as a lane holds it: bytes 0, 1 of a0, then of a1, bytes
/// 2, 3 of a0, then of a1. A chunk is 4 steps (128 columns) for types with blocks of up to 128
/// values, 8 steps (256 columns) for the others; columns are padded to whole chunks by codes under
/// scale 0.
///
/// chunk =
///   scales:      f16 {row g, row g+8} pairs, for g = 0 .. 7; for each g the pairs of all scales of
///   a
///                chunk in order of columns. Where the type has a minimum: blocks of 32 have a
///                second array of the same shape after it; 256-value types have {d g, d g+8, m g, m
///                g+8}.
///   sub-scales:  for each g, for each group of columns in order, bytes {row g, row g+8}; with u8
///                minima {scale g, scale g+8, minimum g, minimum g+8}.
///   low plane:   8 bits: for each step, 32 lanes x {a0 a1 a2 a3}.
///                4 bits: for each two steps, 32 lanes x 4 words; low nibbles are the first step's.
///                2 bits: for each four steps, 32 lanes x 4 words; bits 2j, 2j+1 of a byte are step
///                j's.
///   high plane:  1 bit, 8 steps: 32 lanes x 4 words, bit j of a byte is step j's.
///                1 bit, 4 steps: 32 lanes x 2 words; word i: bit j of a byte is step j's of a(2i),
///                bit 4 + j step j's of a(2i+1). 2 bits: as the low plane of 2 bits.
///
/// Nothing is re-quantised: a packed row is the same numbers in another order. 6-bit sub-scales
/// have 8 bits here, and TQ1_0's codes 2 bits instead of 1.6.

#include "base/dtype.h"

#include <cstdint>

namespace neuros::kernels::cuda {

inline constexpr int kPanelRows = 16;
inline constexpr int kStepColumns = 32;  ///< of quantised types
inline constexpr int kLanes = 32;

// Of 16-bit types.
inline constexpr int kHalfChunkColumns = 64;
inline constexpr int kHalfPieceBytes = 8 * 16;
inline constexpr int kHalfRowsBytes = kHalfChunkColumns / 8 * kHalfPieceBytes;  ///< of eight rows
inline constexpr int kHalfChunkBytes = 2 * kHalfRowsBytes;
inline constexpr int kHalfStepRowsBytes = 2 * kHalfPieceBytes;  ///< of eight rows and 16 columns

enum class SubScales : uint8_t {
  kNone,     ///< only the scale
  kSigned,   ///< int8: value = d * s * (code - offset)
  kMinimum,  ///< uint8 scale and uint8 minimum: d * s * code - m * minimum
  kNibbles,  ///< the same in one byte: low nibble the scale, high nibble the minimum
};

/// How a quantised type lies in its chunks.
struct FragmentFormat {
  int block = 0;         ///< columns that share a scale d; 0: a plain type
  int steps = 0;         ///< of a chunk: 4 or 8
  int low_bits = 0;      ///< 2, 4, 8
  int high_bits = 0;     ///< 0, 1, 2
  int offset = 0;        ///< value is proportional to code - offset; -1: codes are signed bytes
  bool minimum = false;  ///< a second f16 beside d: value = d * ... + m (blocks of 32) or - m * ...
  SubScales sub_scales = SubScales::kNone;
  int sub_columns = 0;  ///< columns that share a sub-scale: 16 or 32
  bool lookup = false;  ///< code is an index into kIq4Values

  constexpr int columns() const { return steps * kStepColumns; }
  constexpr int scales() const {
    return block == 0 ? 0 : block < columns() ? columns() / block : 1;
  }
  constexpr int scale_bytes() const { return scales() * kPanelRows * 2 * (minimum ? 2 : 1); }
  constexpr int sub_groups() const { return sub_columns == 0 ? 0 : columns() / sub_columns; }
  constexpr int sub_bytes() const {
    return sub_groups() * kPanelRows * (sub_scales == SubScales::kMinimum ? 2 : 1);
  }
  constexpr int low_offset() const { return scale_bytes() + sub_bytes(); }
  constexpr int low_bytes() const { return kPanelRows * columns() * low_bits / 8; }
  constexpr int high_offset() const { return low_offset() + low_bytes(); }
  constexpr int high_bytes() const { return kPanelRows * columns() * high_bits / 8; }
  constexpr int chunk_bytes() const { return high_offset() + high_bytes(); }
};

/// The format of a type's chunks; `block` is 0 for f32, f16 and bf16.
constexpr FragmentFormat fragment_format(base::DType dtype) {
  using base::DType;
  constexpr FragmentFormat kSmall{.block = 32, .steps = 4};
  constexpr FragmentFormat kSuper{.block = 256, .steps = 8};
  FragmentFormat f = kSmall;
  switch (dtype) {
    case DType::kQ4_0:
      f.low_bits = 4, f.offset = 8;
      return f;
    case DType::kQ4_1:
      f.low_bits = 4, f.minimum = true;
      return f;
    case DType::kQ5_0:
      f.low_bits = 4, f.high_bits = 1, f.offset = 16;
      return f;
    case DType::kQ5_1:
      f.low_bits = 4, f.high_bits = 1, f.minimum = true;
      return f;
    case DType::kQ8_0:
      f.low_bits = 8, f.offset = -1;
      return f;
    case DType::kIQ4_NL:
      f.low_bits = 4, f.offset = -1, f.lookup = true;
      return f;
    case DType::kQ2_0:
      f.block = 64, f.low_bits = 2, f.offset = 1;
      return f;
    case DType::kQ2_0_128:
      f.block = 128, f.low_bits = 2, f.offset = 1;
      return f;
    default:
      break;
  }
  f = kSuper;
  switch (dtype) {
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      f.low_bits = 2, f.offset = 1;
      return f;
    case DType::kQ2_K:
      f.low_bits = 2, f.minimum = true, f.sub_scales = SubScales::kNibbles, f.sub_columns = 16;
      return f;
    case DType::kQ3_K:
      f.low_bits = 2, f.high_bits = 1, f.offset = 4;
      f.sub_scales = SubScales::kSigned, f.sub_columns = 16;
      return f;
    case DType::kQ4_K:
    case DType::kQ5_K:
      f.low_bits = 4, f.high_bits = dtype == DType::kQ5_K ? 1 : 0;
      f.minimum = true, f.sub_scales = SubScales::kMinimum, f.sub_columns = 32;
      return f;
    case DType::kQ6_K:
      f.low_bits = 4, f.high_bits = 2, f.offset = 32;
      f.sub_scales = SubScales::kSigned, f.sub_columns = 16;
      return f;
    case DType::kIQ4_XS:
      f.low_bits = 4, f.offset = -1, f.lookup = true;
      f.sub_scales = SubScales::kSigned, f.sub_columns = 32;
      return f;
    default:
      return {};
  }
}

constexpr int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr int64_t panel_count(int64_t rows) {
  return (rows + kPanelRows - 1) / kPanelRows;
}

/// Where columns 4 t .. 4 t + 3 of a row of 16-bit values lie in their panel: two at the returned
/// place, two a piece behind it. `quad`: column / 4.
constexpr int64_t half_quad_place(int64_t row, int64_t quad) {
  const int64_t chunk = quad / (kHalfChunkColumns / 4), in_chunk = quad % (kHalfChunkColumns / 4);
  return chunk * kHalfChunkBytes + row / 8 * kHalfRowsBytes + in_chunk / 4 * (2 * kHalfPieceBytes) +
         row % 8 * 16 + in_chunk % 4 * 4;
}

/// Bytes of one panel of `cols` columns.
constexpr int64_t panel_bytes(base::DType dtype, int64_t cols) {
  using base::DType;
  if (dtype == DType::kF32) return kPanelRows * round_up(cols, 4) * 4;
  if (dtype == DType::kF16 || dtype == DType::kBF16) {
    return round_up(cols, kHalfChunkColumns) / kHalfChunkColumns * kHalfChunkBytes;
  }
  const FragmentFormat format = fragment_format(dtype);
  return round_up(cols, format.columns()) / format.columns() * format.chunk_bytes();
}

}  // namespace neuros::kernels::cuda
