#pragma once

/// What the kernels behind prefill.h are launched with.
///
/// Every kernel computes tiles D = W X^T of kTileRows weight rows, or strips of half as many, times
/// some tokens. The weights are the A operand of the matrix instructions, as they are packed
/// (fragment_layout.h); warp w of a tile owns its panel w. The activations are the B operand and go
/// through shared memory. They are prepared once per source:
///
/// Prepared halves: 16-bit numbers [column block][token][64 columns]: tokens are padded with zeros
/// to kPadTokens, columns to kPadColumns. A wider tile reads on past the last token: what it finds
/// there becomes sums of tokens that nobody writes, and kTileBytesMax after the end may be read. A
/// token's 128 bytes of a block are eight pieces of 16 bytes; piece p lies at p ^ (token % 8),
/// which is the 128-byte swizzle of the matrix instructions and keeps ldmatrix free of bank
/// conflicts, so that a tile is one contiguous copy. Within each 16 columns, place 2t + e holds
/// column 4t + e and place 8 + 2t + e column 4t + 2 + e (t < 4, e < 2): the order in which the
/// weights' fragments have them.
///
/// Prepared floats: row-major [token][columns padded to 4], for types that are multiplied in f32.

#include "base/dtype.h"
#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/linear.h"
#include "kernels/op_context.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda::prefill {

inline constexpr int kTileRows = 128;
inline constexpr int kTilePanels = 8;
inline constexpr int kBlockColumns = 64;
inline constexpr int kBlockRowBytes = 128;
inline constexpr int kPadColumns = 256;  ///< the longest chunk of a type
inline constexpr int kPadTokens = 64;
inline constexpr int kTileBytesMax = 256 * kBlockRowBytes;  ///< a column block of the widest tile

/// Quantised weights are expanded to f16 times this, so that small scales stay clear of subnormals:
/// full precision from 2e-6 up, and no overflow below 2047.
inline constexpr float kWeightFactor = 32.0f;

enum class Prepared : uint8_t { kF16, kBF16, kF32 };

struct PrepareArgs {
  ActivationSource source;
  int64_t padded_tokens = 0;
  int64_t padded_cols = 0;
  std::byte* out = nullptr;  ///< as described above
  /// [padded tokens], of kF16 only: what a token's sums are multiplied by. Its activations are
  /// scaled by a power of two so that the largest of a token lies in [128, 256): neither they nor
  /// their sums overflow.
  float* token_factors = nullptr;
};

void prepare_activations(const OpContext& context, Prepared kind, const PrepareArgs& args);

/// What rows of a product are, that are to be finished as heads (prefill_heads.cuh).
enum class HeadRole : uint8_t { kNone, kQuery, kKey, kValue };

/// One matrix of a launch; all have the type and the columns of the launch.
struct ProductTask {
  const std::byte* weight = nullptr;
  const std::byte* up = nullptr;  ///< SwiGLU: y = silu(weight x) * (up x); else null
  const float* bias = nullptr;    ///< [rows] or null
  // At most one of these, [tokens, rows]; may be y.
  const float* residual = nullptr;
  const float* gate = nullptr;  ///< y = silu(gate) * y
  float* y = nullptr;           ///< [tokens, rows]
  /// SwiGLU by wgmma of 16-bit weights: y as prepared bf16 instead, for a product of the launch's
  /// padded tokens and a multiple of kBlockColumns rows; or null.
  std::byte* prepared = nullptr;
  HeadRole role = HeadRole::kNone;  ///< only of 16-bit weights by wgmma; keys and values leave y
  int rows = 0;
  int first_tile = 0;    ///< of this task among the row tiles of the launch
  bool aligned = false;  ///< rows and pointers allow 16-byte accesses
};

struct ProductArgs {
  ProductTask tasks[kTasksMax];
  int task_count = 0;
  bool swiglu = false;  ///< a tile is then 64 rows of either matrix
  int row_tiles = 0;    ///< of all tasks; of 16-bit weights by wgmma strips
  // wgmma: row tiles from wide_row_tiles on, the last ones, are multiplied by tiles of half as many
  // tokens. Tiles of a cluster of blocks, which counts as one: the wide ones, and all. Of 16-bit
  // weights row tiles are strips; the first ones, in tall_row_groups clusters of tiles of
  // kTallStrips, are tall_tiles tiles, the first of all.
  int wide_row_tiles = 0;
  int wide_tiles = 0, tiles = 0;
  int tall_row_groups = 0, tall_tiles = 0;
  int clusters = 0;  ///< of 16-bit weights by wgmma: that run at a time
  int tokens = 0;
  int padded_tokens = 0;  ///< of the prepared activations
  int token_tiles = 0;
  int cols = 0;         ///< as in the matrix
  int padded_cols = 0;  ///< of prepared floats
  int64_t panel_bytes = 0;
  const std::byte* activations = nullptr;
  const float* token_factors = nullptr;  ///< PrepareArgs
  float weight_factor = 1.0f;            ///< what sums are multiplied by beside the token's
  int multiprocessors = 0;               ///< of the device
  HeadsView heads;                       ///< of tasks that have roles
  bool bf16_pages = false;               ///< or f16

  constexpr int tile_rows() const { return swiglu ? kTileRows / 2 : kTileRows; }
  constexpr int strip_rows() const { return tile_rows() / 2; }
};

using ProductLaunch = void (*)(const OpContext&, const ProductArgs&);

/// mma.sync: 128 rows x 128 tokens a block. f16, bf16 (from sm_80 on) and the quantised types.
inline constexpr int kMmaTokens = 128;
template <base::DType kType>
void launch_mma(const OpContext& context, const ProductArgs& args);

/// wgmma, on compute capability 9.0: 128 rows x kTokens tokens a tile, and half as many tokens from
/// wide_row_tiles on (only of tiles of kWgmmaTokensMax); the quantised types.
inline constexpr int kWgmmaTokensMax = 256;
constexpr int wgmma_cluster(int tile_tokens) {  ///< blocks that share their tokens
  return tile_tokens == kWgmmaTokensMax ? 2 : 1;
}
template <base::DType kType, int kTokens>
void launch_wgmma(const OpContext& context, const ProductArgs& args);

/// The same of f16 and bf16: tiles of at most kStrips strips of 64 rows, in clusters of kCluster
/// blocks one above the other. With kTallStrips, tiles are tall or have kLowStrips.
inline constexpr int kLowStrips = 2;
inline constexpr int kTallStrips = 3;
inline constexpr int kLargeCluster = 4;  ///< only of tiles of kWgmmaTokensMax
template <base::DType kType, int kStrips, int kTokens, int kCluster>
void launch_wgmma_halves(const OpContext& context, const ProductArgs& args);
/// Large clusters that the GPU has room for at a time.
int large_clusters();

/// Plain f32 arithmetic: 64 rows x 64 tokens a block. f32 and bf16.
inline constexpr int kFmaRows = 64;
inline constexpr int kFmaTokens = 64;
template <base::DType kType>
void launch_fma(const OpContext& context, const ProductArgs& args);

}  // namespace neuros::kernels::cuda::prefill
