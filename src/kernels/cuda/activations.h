#pragma once

/// "Prepared" activations: what the B operands of decode kernels are read from.
///
/// kQ8, for quantised weights. Columns go in chunks of 128, padded with zeros. A chunk is four
/// steps of 32 columns; a step of a token has int8 codes under one scale dx = largest / 127. For a
/// tile of up to eight tokens:
///   codes   [chunk][token][t 4][step 4][8 bytes]: columns 32 step + 4 t .. + 3 and the same + 16,
///           so that lane 4 g + t of a warp reads the B operands of token g in a chunk as 32
///           contiguous bytes;
///   scales  [chunk][pair of tokens t][32 floats]: what the lanes t need, whose results are tokens
///           2 t and 2 t + 1:
///             dx                  [step 4][2 tokens]
///             dx * sum of codes   [step 4][2 tokens]
///             dx * sum of codes   [step 4][16 columns each 2][2 tokens]
/// In device memory a tile has room for eight tokens and four pairs; in shared memory for as many
/// as there are. What no token has is not written.
///
/// kBF16, kF16: [token][cols padded with zeros to 16]. f16 is scaled, token by token, by a power of
/// two that makes the largest at most 1024; token_scales [token] is its inverse.
/// kF32: [token][cols padded with zeros to 4].

#include "base/dtype.h"
#include "kernels/cuda/fragment_layout.h"

#include <cstdint>

namespace neuros::kernels::cuda {

enum class ActivationKind : uint8_t { kQ8, kBF16, kF16, kF32 };

constexpr ActivationKind activation_kind(base::DType weight) {
  switch (weight) {
    case base::DType::kF32:
      return ActivationKind::kF32;
    case base::DType::kF16:
      return ActivationKind::kF16;
    case base::DType::kBF16:
      return ActivationKind::kBF16;
    default:
      return ActivationKind::kQ8;
  }
}

inline constexpr int kTileTokens = 8;
inline constexpr int kChunkColumns = 128;
inline constexpr int kTokenCodeBytes = kChunkColumns;  ///< of one token in a chunk
inline constexpr int kPairFloats = 32;                 ///< of one pair of tokens in a chunk

constexpr int64_t padded_columns(ActivationKind kind, int64_t cols) {
  if (kind == ActivationKind::kF32) return round_up(cols, 4);
  return round_up(cols, kind == ActivationKind::kQ8 ? kChunkColumns : 16);
}

/// Into how many groups the columns are cut: a power of two, by their number only. Group i of g has
/// chunks [i chunks / g, (i + 1) chunks / g).
inline constexpr int kGroupsMax = 16;
constexpr int column_groups(int columns) {
  int groups = kGroupsMax;
  while (groups > 2 && groups * kChunkColumns > columns) groups /= 2;
  return groups;
}

/// Where prepared activations lie.
struct PreparedActivations {
  std::byte* values = nullptr;       ///< codes of kQ8; else the values
  float* scales = nullptr;           ///< of kQ8; token scales of kF16
  int tile_tokens = kTileTokens;     ///< tokens a tile of kQ8 has room for
  int tile_pairs = kTileTokens / 2;  ///< and pairs
  /// Not 0: in pieces of so many bytes (activation_pieces.h), with the scales of kQ8 inside.
  int piece_bytes = 0;

  constexpr int chunk_bytes() const { return tile_tokens * kTokenCodeBytes; }
  constexpr int chunk_floats() const { return tile_pairs * kPairFloats; }
};

/// Bytes of the values of `tokens` tokens, and of their scales; multiples of 16. Both together, or
/// the values of other kinds than kQ8, are room for pieces too.
constexpr int64_t prepared_value_bytes(ActivationKind kind, int64_t tokens, int64_t cols) {
  const int64_t columns = padded_columns(kind, cols);
  switch (kind) {
    case ActivationKind::kQ8:
      return round_up(tokens, kTileTokens) * columns;
    case ActivationKind::kBF16:
    case ActivationKind::kF16:
      return round_up(tokens, 2 * kTileTokens) * round_up(columns, 64) * 2;
    case ActivationKind::kF32:
      return tokens * columns * 4;
  }
  return 0;
}
constexpr int64_t prepared_scale_bytes(ActivationKind kind, int64_t tokens, int64_t cols) {
  if (kind == ActivationKind::kF16) return round_up(tokens * 4, 16);
  if (kind != ActivationKind::kQ8) return 0;
  return round_up(tokens, kTileTokens) / 2 * (padded_columns(kind, cols) / kChunkColumns) *
         kPairFloats * 4;
}

}  // namespace neuros::kernels::cuda
