#pragma once

/// Prepared activations in the order in which decode_many.cuh takes them: pieces of columns, each
/// contiguous with all of up to 64 tokens, so that one bulk copy brings it to shared memory, where
/// the lanes of a warp read their operands side by side. Lane 4 g + t has token g of a tile of
/// eight, and the scales of tokens 2 t and 2 t + 1.
///
/// 16-bit floats: 64 columns, as weights lie in a chunk (fragment_layout.h), with tokens for rows.
/// kQ8: 128 columns. For each tile of eight tokens
///   codes   [pair of steps 2][lane][step of the pair 2][8 bytes, as in activations.h]
///   scales  [quad of floats 8][t][4 floats]: of the 32 floats that activations.h gives a pair of
///           tokens, float i in quad i / 4.
/// What no token or column has is not written.

#include "kernels/cuda/activations.h"

namespace neuros::kernels::cuda {

inline constexpr int kManyTokens = 64;
inline constexpr int kManyTiles = kManyTokens / kTileTokens;
inline constexpr int kHalfStepColumns = 16;
inline constexpr int kTileCodeBytes = kTileTokens * kTokenCodeBytes;
inline constexpr int kTilePieceBytes = kTileCodeBytes + kTileTokens / 2 * kPairFloats * 4;

constexpr int piece_columns(ActivationKind kind) {
  return kind == ActivationKind::kQ8 ? kChunkColumns : 64;
}
constexpr int token_tiles(int64_t tokens) {
  return static_cast<int>((tokens + kTileTokens - 1) / kTileTokens);
}
constexpr int piece_bytes(ActivationKind kind, int64_t tokens) {
  const int tiles = token_tiles(tokens);
  if (kind == ActivationKind::kQ8) return tiles * kTilePieceBytes;
  return tiles * kHalfRowsBytes;
}

/// Where the first two of columns `column` .. + 3 of a piece of 16-bit floats lie for a token, in
/// bytes; the other two kHalfPieceBytes behind. `column`: a multiple of 4.
constexpr int half_place(int token, int column) {
  return token / kTileTokens * kHalfRowsBytes + column / kHalfStepColumns * (2 * kHalfPieceBytes) +
         token % kTileTokens * 16 + column % kHalfStepColumns / 4 * 4;
}
/// Of a code.
constexpr int code_place(int token, int column) {
  const int step = column / 32, quad = column / 4 % 8;
  const int lane = token % kTileTokens * 4 + quad % 4;
  return token / kTileTokens * kTilePieceBytes + step / 2 * kLanes * 16 + lane * 16 + step % 2 * 8 +
         quad / 4 * 4 + column % 4;
}
/// Of float `index` of the 32 of a token's pair.
constexpr int scale_place(int token, int index) {
  const int pair = token % kTileTokens / 2;
  return token / kTileTokens * kTilePieceBytes + kTileCodeBytes + index / 4 * 64 + pair * 16 +
         index % 4 * 4;
}

}  // namespace neuros::kernels::cuda
