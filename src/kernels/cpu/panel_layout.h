#pragma once

/// "R16 panels": the one layout in which every CPU level keeps its weights.
///
/// A panel is 16 rows of the matrix (the last one padded with zeros), kept together in the order
/// in which a kernel reads it; panels follow one another. The unit of computation is a code vector:
/// 64 bytes, byte 4 r + j = the unsigned code of row r, column k + j, for four columns at k. One
/// vpdpbusd takes such a vector and four activations broadcast to all lanes; lane r is row r. Eight
/// code vectors are the 32 columns that all quantised types have in common; the 16 code vectors of
/// 64 columns are also AMX's B tile, as they stand.
///
/// panel of a quantised type =
///   header:  for each record the f16 scale of the 16 rows, then (where there is one) the f16
///            minimum of the 16 rows; padded to 64 bytes
///   records: one for each block of the file format:
///     sub-scales: for each group of columns 16 bytes, one a row (format.sub_bytes groups)
///     chunks: for each 32 columns
///       low plane:  8, 4 or 2 bits a code. 4 bits: vector n holds code vectors n (low nibbles)
///                   and n + 4. 2 bits: vector n holds code vectors 4 n .. 4 n + 3, lowest first
///       high plane: 1 bit: bit v of each byte belongs to code vector v; 2 bits: as the low plane
///
/// panel of f32, f16: for each column the 16 rows; of bf16: for each two columns 16 pairs, the odd
/// last column paired with zeros; padded to 64 bytes.
///
/// Nothing is re-quantised: a packed row is the same numbers in another order. Types whose
/// sub-scales have 6 bits in the file have 8 here, and TQ1_0's codes have 2 bits instead of 1.6.

#include "base/check.h"
#include "base/dtype.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cpu {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kChunkColumns = 32;  ///< columns of eight code vectors

/// What the scales inside a record mean.
enum class SubScales : uint8_t {
  kNone,     ///< only the header's scale
  kSigned,   ///< int8, one for each group: value = d * s * (code - offset)
  kMinimum,  ///< uint8 scales of all groups, then uint8 minima: d * s * code - m * minimum
  kNibbles,  ///< the same, low nibble the scale and high nibble the minimum of one byte
};

struct PanelFormat {
  int columns = 0;        ///< of a record: the file format's block; 0: a plain float type
  int header_values = 0;  ///< f16 values of a row in a record's header: d, or d and m
  int low_bits = 0;       ///< 2, 4, 8
  int high_bits = 0;      ///< 0, 1, 2
  int offset = 0;         ///< value is proportional to code - offset
  SubScales sub_scales = SubScales::kNone;
  int sub_columns = 0;  ///< columns that share a sub-scale
  bool lookup = false;  ///< code is an index: kIq4Values[code] + 128 takes its place

  constexpr int sub_groups() const { return sub_columns == 0 ? 0 : columns / sub_columns; }
  constexpr int sub_bytes() const {
    return sub_scales == SubScales::kMinimum ? 2 * sub_groups() : sub_groups();
  }
  constexpr int chunks() const { return columns / static_cast<int>(kChunkColumns); }
  constexpr int low_bytes() const { return 64 * low_bits; }
  constexpr int chunk_bytes() const { return 64 * (low_bits + high_bits); }
  constexpr int record_bytes() const {
    return static_cast<int>(kPanelRows) * sub_bytes() + chunks() * chunk_bytes();
  }
  constexpr int header_bytes() const {
    return header_values * static_cast<int>(kPanelRows) * static_cast<int>(sizeof(uint16_t));
  }
};

namespace internal {
using base::DType;
constexpr PanelFormat format_of(DType dtype) {
  constexpr PanelFormat kSuper{.columns = 256, .header_values = 1};
  PanelFormat f;
  switch (dtype) {
    case DType::kQ4_0:
      return {.columns = 32, .header_values = 1, .low_bits = 4, .offset = 8};
    case DType::kQ4_1:
      return {.columns = 32, .header_values = 2, .low_bits = 4};
    case DType::kQ5_0:
      return {.columns = 32, .header_values = 1, .low_bits = 4, .high_bits = 1, .offset = 16};
    case DType::kQ5_1:
      return {.columns = 32, .header_values = 2, .low_bits = 4, .high_bits = 1};
    case DType::kQ8_0:
      return {.columns = 32, .header_values = 1, .low_bits = 8, .offset = 128};
    case DType::kIQ4_NL:
      return {.columns = 32, .header_values = 1, .low_bits = 4, .offset = 128, .lookup = true};
    case DType::kQ2_0:
      return {.columns = 64, .header_values = 1, .low_bits = 2, .offset = 1};
    case DType::kQ2_0_128:
      return {.columns = 128, .header_values = 1, .low_bits = 2, .offset = 1};
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      f = kSuper;
      f.low_bits = 2, f.offset = 1;
      return f;
    case DType::kQ2_K:
      f = kSuper;
      f.header_values = 2, f.low_bits = 2, f.sub_columns = 16, f.sub_scales = SubScales::kNibbles;
      return f;
    case DType::kQ3_K:
      f = kSuper;
      f.low_bits = 2, f.high_bits = 1, f.offset = 4;
      f.sub_columns = 16, f.sub_scales = SubScales::kSigned;
      return f;
    case DType::kQ4_K:
    case DType::kQ5_K:
      f = kSuper;
      f.header_values = 2, f.low_bits = 4, f.high_bits = dtype == DType::kQ5_K ? 1 : 0;
      f.sub_columns = 32, f.sub_scales = SubScales::kMinimum;
      return f;
    case DType::kQ6_K:
      f = kSuper;
      f.low_bits = 4, f.high_bits = 2, f.offset = 32;
      f.sub_columns = 16, f.sub_scales = SubScales::kSigned;
      return f;
    case DType::kIQ4_XS:
      f = kSuper;
      f.low_bits = 4, f.offset = 128, f.lookup = true;
      f.sub_columns = 32, f.sub_scales = SubScales::kSigned;
      return f;
    default:
      return {};
  }
}
}  // namespace internal

/// The format of a weight type's panels.
template <base::DType kType>
inline constexpr PanelFormat kPanelFormat = internal::format_of(kType);
PanelFormat panel_format(base::DType dtype);

constexpr int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Bytes of a panel's header, padding included; 0 for plain types.
constexpr int64_t panel_header_bytes(const PanelFormat& format, int64_t cols) {
  if (format.columns == 0) return 0;
  return round_up(cols / format.columns * format.header_bytes(), 64);
}

/// Bytes of one panel of `cols` columns.
int64_t panel_bytes(base::DType dtype, int64_t cols);

inline int64_t panel_count(int64_t rows) {
  return (rows + kPanelRows - 1) / kPanelRows;
}

}  // namespace neuros::kernels::cpu
