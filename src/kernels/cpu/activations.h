#pragma once

/// Activations as the kernels read them. Tokens are taken in groups (TokenGroups); a group's bytes
/// are contiguous, and inside it everything is interleaved by token, so that a kernel reaches each
/// of its tokens at a constant distance from one pointer.
///
///   kF32:      [chunks][tokens][32] floats; the last chunk is padded with zeros
///   kBF16:     the same, bfloat16
///   kBlock32:  codes [chunks][tokens][32] int8; scales [chunks][tokens] f32 = max |x| / 127;
///              negated sums of codes [chunks][tokens] int32; scale * sum [chunks][tokens] f32
///   kBlock256: codes [chunks][tokens][32] int8; per 256 columns: scales [blocks][tokens] f32;
///              negated sums of codes [blocks][tokens] int32; sums of 16 codes
///              [blocks][tokens][16] int16; of 32 codes [blocks][tokens][8] int16
///
/// A token's values do not depend on its group: that is what makes products batch-invariant.

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cpu {

enum class ActivationKind : uint8_t { kF32, kBF16, kBlock32, kBlock256 };
inline constexpr int kActivationKinds = 4;

inline constexpr int kGroupTokensMax = 16;
inline constexpr int kTileSizes = 4;  ///< groups of 1, 2, 4, 8 tokens have tile kernels

constexpr int64_t chunk_count(int64_t cols) {
  return (cols + 31) / 32;
}

/// Bytes of one token; a group of n tokens has n times as many.
constexpr int64_t activation_token_bytes(ActivationKind kind, int64_t cols) {
  const int64_t chunks = chunk_count(cols);
  switch (kind) {
    case ActivationKind::kF32:
      return chunks * 32 * 4;
    case ActivationKind::kBF16:
      return chunks * 32 * 2;
    case ActivationKind::kBlock32:
      return chunks * (32 + 12);
    case ActivationKind::kBlock256:
      return cols + cols / 256 * (4 + 4 + 32 + 16);
  }
  return 0;
}

/// How a batch is cut: first full groups for the block kernels, then the rest in powers of two for
/// the tile kernels, largest first.
struct TokenGroups {
  int64_t tokens = 0;
  int block_tokens = 0;  ///< tokens of a full group; 0: there are none
  int tile_tokens = 1;   ///< the largest other group

  /// Tokens that are in full groups.
  int64_t in_blocks() const { return block_tokens == 0 ? 0 : tokens / block_tokens * block_tokens; }
  /// Size of the group that starts at `token`, the end of another or 0.
  int size_at(int64_t token) const {
    if (token < in_blocks()) return block_tokens;
    int size = tile_tokens;
    while (size > tokens - token) size /= 2;
    return size;
  }
};

/// Where the parts of a group of kTokens tokens are, for kBlock32.
template <int kTokens>
struct Block32Group {
  const int8_t* codes;
  const float* scales;
  const int32_t* negated_sums;
  const float* scaled_sums;

  Block32Group(const std::byte* group, int64_t cols)
      : codes(reinterpret_cast<const int8_t*>(group)),
        scales(reinterpret_cast<const float*>(group + cols * kTokens)),
        negated_sums(reinterpret_cast<const int32_t*>(scales + cols / 32 * kTokens)),
        scaled_sums(reinterpret_cast<const float*>(negated_sums + cols / 32 * kTokens)) {}
};

/// The same for kBlock256.
template <int kTokens>
struct Block256Group {
  const int8_t* codes;
  const float* scales;
  const int32_t* negated_sums;
  const int16_t* sums;
  const int16_t* sums32;

  Block256Group(const std::byte* group, int64_t cols)
      : codes(reinterpret_cast<const int8_t*>(group)),
        scales(reinterpret_cast<const float*>(group + cols * kTokens)),
        negated_sums(reinterpret_cast<const int32_t*>(scales + cols / 256 * kTokens)),
        sums(reinterpret_cast<const int16_t*>(negated_sums + cols / 256 * kTokens)),
        sums32(sums + cols / 16 * kTokens) {}
};

}  // namespace neuros::kernels::cpu
