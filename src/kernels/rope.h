#pragma once

#include "kernels/kv_layout.h"
#include "kernels/op_context.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// Which elements of a head form a rotated pair (https://arxiv.org/abs/2104.09864).
enum class RopeStyle {
  kInterleaved,  ///< (0, 1), (2, 3), ...: GGUF files of the Llama family
  kHalves,       ///< (i, i + dims/2): Hugging Face, Qwen ("neox")
};

/// table[row] = cos and sin of position * inverse_frequency[i], times magnitude:
/// [tokens, dims/2, 2], one row for each row of the batch. Computed once a step, used by all
/// layers.
struct RopeTableArgs {
  std::span<const SequenceSlice> sequences;
  std::span<const float> inverse_frequency;  ///< [dims/2], context scaling already in it
  float magnitude = 1.0f;                    ///< YaRN's attention factor
  float* table = nullptr;
};
using RopeTableFn = void (*)(const OpContext&, const RopeTableArgs&);

}  // namespace neuros::kernels
