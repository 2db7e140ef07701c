#pragma once

/// Products for decode steps: every weight is read once for up to 64 tokens, and reading them is
/// what takes the time. The kernels are in decode_kernel.cuh and, for many tokens on Hopper,
/// decode_many.cuh.

#include "kernels/cuda/linear.h"

#include <span>

namespace neuros::kernels::cuda {

/// All rows of the source count as decode steps, whatever its decode_tokens says. Row t of y has
/// the same bits whatever the number of rows.
void decode_tasks(const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks, std::span<std::byte> scratch);
void decode_swiglu(const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out,
                   std::span<std::byte> scratch);
int64_t decode_scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::cuda
