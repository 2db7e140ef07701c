#pragma once

/// Matrix products on a GPU: what the fused ops share.

#include "kernels/gate_up.h"
#include "kernels/linear.h"
#include "kernels/op_context.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::cuda {

/// Where the activations of a product come from, in device memory.
struct ActivationSource {
  const float* x = nullptr;            ///< [tokens, cols]
  const float* norm_weight = nullptr;  ///< [cols]: RMSNorm first; null: as they are
  float epsilon = 1e-5f;
  const int32_t* rows = nullptr;  ///< [tokens], device: take row rows[i] of x as token i; null: i
  int64_t tokens = 0;
  int64_t decode_tokens = 0;  ///< the first of them: by the decode kernels
  int64_t cols = 0;
};

/// What an op's products are of.
ActivationSource source_of(const LinearArgs& args);
ActivationSource source_of(const GateUpArgs& args);

/// Tokens [first, first + count) of a source, all of one class.
ActivationSource rows_of(const ActivationSource& source, int64_t first, int64_t count);

/// y = W x + bias + residual for the tokens of a source.
struct LinearTask {
  PackedMatrix weight;              ///< [rows, cols]
  const float* bias = nullptr;      ///< [rows] or null
  const float* residual = nullptr;  ///< [tokens, rows] or null; may be y
  float* y = nullptr;               ///< [tokens, rows]
};

LinearTask task_of(const LinearArgs& args);
/// A task for the tokens from `first` on.
LinearTask task_from(LinearTask task, int64_t first);

inline constexpr int kTasksMax = 3;

/// All products of one source, in as few launches as their types allow.
void linear_tasks(const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks, std::span<std::byte> scratch);

/// out [tokens, rows] = silu(gate x) * (up x)
void linear_swiglu(const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out,
                   std::span<std::byte> scratch);

/// Scratch of either.
int64_t linear_scratch_bytes(const OpLimits& limits);

/// The row of the OpTable for each weight type.
std::array<LinearKernel, base::kWeightDTypeCount> linear_kernels();

}  // namespace neuros::kernels::cuda
