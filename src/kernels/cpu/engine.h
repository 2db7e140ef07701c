#pragma once

/// What one instruction set contributes: the inner loops behind kernels/cpu/linear.h, as a table.
/// linear_<level>.cc fills one each from the shared templates in linear_tiles-inl.h.

#include "base/dtype.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/panel_layout.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::cpu {

/// `panels` neighbouring panels times one group of tokens.
struct TileArgs {
  const std::byte* panel = nullptr;
  int64_t panel_bytes = 0;  ///< from one panel to the next
  int panels = 0;           ///< 1 .. kTilePanels
  int64_t cols = 0;
  const std::byte* group = nullptr;  ///< activations of the group, as kernels/cpu/activations.h
  float* out = nullptr;              ///< [panels, group tokens, 16]; aligned to 64 bytes
};
using TileFn = void (*)(const TileArgs&);
inline constexpr int kTilePanels = 4;

/// Columns of a block: its two decoded panels fill half of a small first-level cache.
inline constexpr int kBlockColumnsQuantised = 512;
inline constexpr int kBlockColumnsBF16 = 256;
inline constexpr int kBlockColumnsF32 = 128;
inline constexpr int kPairRowBytes = 128;  ///< a code vector of both panels of a pair

/// A block of columns of two panels, taken apart once for many tokens. Rows are those of the first
/// panel, then those of the second.
struct alignas(64) DecodedPair {
  /// [vectors of 4 columns][32 rows] 4 codes; or [pairs of columns][32 rows] two bf16; or
  /// [columns][32 rows] f32
  std::byte codes[kBlockColumnsQuantised / 4 * kPairRowBytes];
  float scales[kBlockColumnsQuantised / 16][2 * kPanelRows];          ///< [chunks or groups][rows]
  float minimum_values[kBlockColumnsQuantised / 32][2 * kPanelRows];  ///< [chunks][rows]
  /// [pairs of 16 columns][rows] the minima as two int16
  std::byte minimum_pairs[kBlockColumnsQuantised / 32][kPairRowBytes];
  float record_scales[kBlockColumnsQuantised / 256][2 * kPanelRows];  ///< d, [records][rows]
  float record_minima[kBlockColumnsQuantised / 256][2 * kPanelRows];  ///< m
};

/// Decodes columns [column, column + columns) of two panels (the same twice at a matrix's end).
struct DecodeArgs {
  const std::byte* panels[2] = {};
  int64_t cols = 0;
  int64_t column = 0;
  int columns = 0;
  DecodedPair* out = nullptr;
};
using DecodeFn = void (*)(const DecodeArgs&);

/// A decoded block times some full groups; adds to the sums of the columns before it.
struct BlockArgs {
  const DecodedPair* pair = nullptr;
  int64_t cols = 0;
  int64_t column = 0;  ///< 0: the sums start at zero
  int columns = 0;
  int groups = 0;
  const std::byte* group = nullptr;  ///< the first
  int64_t group_bytes = 0;           ///< from one group to the next
  float* sums = nullptr;             ///< [groups][group tokens, 32]; aligned to 64 bytes
  /// Where the next block's weights are, of which each group asks for `ahead_step` bytes a panel.
  const std::byte* ahead[2] = {};
  int64_t ahead_step = 0;
};
using BlockFn = void (*)(const BlockArgs&);

/// Brings one row into its slot of a group of `tokens` tokens.
struct PrepareArgs {
  const float* row = nullptr;  ///< [cols]
  int64_t cols = 0;
  int slot = 0;
  int tokens = 0;
  std::byte* group = nullptr;
};
using PrepareFn = void (*)(const PrepareArgs&);

/// Writes finished sums of neighbouring panels: y = sums + bias + residual, token by token. The
/// sums of panel p, token t start at sums + p / 2 * pair_stride + p % 2 * panel_stride + t *
/// token_stride.
struct FinishArgs {
  const float* sums = nullptr;
  int64_t pair_stride = 0;
  int64_t panel_stride = 0;
  int64_t token_stride = 0;
  const float* bias = nullptr;      ///< of the first row, or null
  const float* residual = nullptr;  ///< of the first token and row, or null
  float* y = nullptr;
  int64_t y_stride = 0;  ///< of y and residual, from one token to the next
  int tokens = 0;
  int64_t rows = 0;  ///< from the first panel's first row on
};
using FinishFn = void (*)(const FinishArgs&);

struct EngineTable {
  int tile_tokens = 1;  ///< largest group of the tile kernels
  std::array<ActivationKind, base::kWeightDTypeCount> kinds{};
  std::array<int, kActivationKinds> block_tokens{};   ///< group of the block kernels; 0: none
  std::array<int, kActivationKinds> block_columns{};  ///< a block's columns
  std::array<PrepareFn, kActivationKinds> prepare{};
  /// By weight type and log2 of the group's tokens.
  std::array<std::array<TileFn, kTileSizes>, base::kWeightDTypeCount> tiles{};
  std::array<DecodeFn, base::kWeightDTypeCount> decode{};
  std::array<BlockFn, base::kWeightDTypeCount> blocks{};
  FinishFn finish = nullptr;
  /// out = x / sqrt(mean(x^2) + epsilon) * weight
  void (*normalise)(const float* x, const float* weight, float epsilon, int64_t cols,
                    float* out) = nullptr;
  /// gate[i] = silu(gate[i]) * up[i]; count is a multiple of 16.
  void (*swiglu)(float* gate, const float* up, int64_t count) = nullptr;

  ActivationKind kind(base::DType dtype) const { return kinds.at(static_cast<size_t>(dtype)); }
  TokenGroups groups(ActivationKind kind, int64_t tokens) const {
    return {tokens, block_tokens.at(static_cast<size_t>(kind)), tile_tokens};
  }
};

const EngineTable& engine_table(Engine engine);

/// linear_tasks() of kernels/cpu/linear.h on any table.
void linear_tasks_on(const EngineTable& engine, const OpContext& context,
                     const ActivationSource& source, std::span<const LinearTask> tasks);

const EngineTable& generic_engine();
const EngineTable& avx2_engine();
const EngineTable& avx512_engine();
const EngineTable& vnni_engine();
const EngineTable& vnni_bf16_engine();
const EngineTable& amx_engine();

}  // namespace neuros::kernels::cpu
