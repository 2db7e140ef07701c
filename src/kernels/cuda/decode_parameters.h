#pragma once

/// What a launch of a decode kernel is told, and the launching functions, one for each type.

#include "base/dtype.h"
#include "kernels/cuda/activations.h"
#include "kernels/cuda/linear.h"
#include "kernels/op_context.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda {

/// One matrix of a launch: y = W x + bias + residual, or silu(gate) * W x.
struct DecodeTask {
  const std::byte* weight = nullptr;  ///< panels
  const float* bias = nullptr;        ///< [rows] or null
  const float* residual = nullptr;    ///< [tokens, rows] or null; may be y
  const float* gate = nullptr;        ///< [tokens, rows] or null; may be y
  float* y = nullptr;                 ///< [tokens, rows]
  int rows = 0;
};

/// Matrices of one type over the same tokens.
struct DecodeBatch {
  DecodeTask tasks[kTasksMax];
  int task_count = 0;
  /// tasks[0] and tasks[1] are gate and up: the only result is y of tasks[1] = silu(gate) * up.
  bool gated = false;
  /// Of gate and up: the result goes here in pieces of bf16 instead (decode.h), if it has such.
  /// 16-bit weights; rows a multiple of 16.
  PreparedActivations pieces;
  int choice = 0;           ///< of choice_values.h, for kernels of many tokens; 0: none
  ActivationSource source;  ///< its tokens are those of this launch
  // For blocks that share rows (halves_plan.h).
  float* left = nullptr;
  uint32_t* meetings = nullptr;
};

/// Whether a type's kernels can do gate and up in one launch.
constexpr bool can_pair(base::DType dtype) {
  return dtype != base::DType::kF32;
}

/// Columns of a token that a kernel prepares itself; half as many in all of several tokens.
inline constexpr int64_t kOwnColumnsMax = 16384;

/// Whether the kernel prepares this batch's activations itself, in shared memory: a few tokens,
/// where a launch of its own would take longer.
bool prepares_itself(base::DType dtype, const ActivationSource& source);

/// Multiplies; with activations that prepare() left, or null for a kernel that prepares itself.
template <base::DType kType>
void launch_decode(const OpContext& context, const DecodeBatch& batch,
                   const PreparedActivations* prepared);

}  // namespace neuros::kernels::cuda
