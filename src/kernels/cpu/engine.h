#pragma once

/// What one instruction set contributes: the inner loops behind kernels/cpu/linear.h, as a table.
/// linear_<level>.cc fills one each from the shared templates in linear_tiles-inl.h.

#include "base/dtype.h"
#include "kernels/cpu/activations.h"
#include "kernels/cpu/linear.h"

#include <array>
#include <cstddef>
#include <cstdint>

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

/// Brings one row into its slot of a group of `tokens` tokens.
struct PrepareArgs {
  const float* row = nullptr;  ///< [cols]
  int64_t cols = 0;
  int slot = 0;
  int tokens = 0;
  std::byte* group = nullptr;
};
using PrepareFn = void (*)(const PrepareArgs&);

/// Writes a finished tile: y = tile + bias + residual.
struct FinishArgs {
  const float* tile = nullptr;      ///< [tokens, 16]
  const float* bias = nullptr;      ///< of the panel's first row, or null
  const float* residual = nullptr;  ///< of the first token and the panel's first row, or null
  float* y = nullptr;
  int64_t stride = 0;  ///< of y and residual
  int tokens = 0;
  int rows = 16;  ///< rows of the panel that exist
};
using FinishFn = void (*)(const FinishArgs&);

struct EngineTable {
  int group_tokens_max = 1;  ///< 1 .. kGroupTokensMax, a power of two
  std::array<ActivationKind, base::kWeightDTypeCount> kinds{};
  std::array<PrepareFn, kActivationKinds> prepare{};
  /// By weight type and log2 of the group's tokens.
  std::array<std::array<TileFn, kGroupSizes>, base::kWeightDTypeCount> tiles{};
  FinishFn finish = nullptr;
  /// out = x / sqrt(mean(x^2) + epsilon) * weight
  void (*normalise)(const float* x, const float* weight, float epsilon, int64_t cols,
                    float* out) = nullptr;
  /// gate[i] = silu(gate[i]) * up[i]; count is a multiple of 16.
  void (*swiglu)(float* gate, const float* up, int64_t count) = nullptr;

  ActivationKind kind(base::DType dtype) const { return kinds.at(static_cast<size_t>(dtype)); }
};

const EngineTable& engine_table(Engine engine);

const EngineTable& generic_engine();
const EngineTable& avx2_engine();
const EngineTable& avx512_engine();
const EngineTable& vnni_engine();
const EngineTable& vnni_bf16_engine();
const EngineTable& amx_engine();

}  // namespace neuros::kernels::cpu
