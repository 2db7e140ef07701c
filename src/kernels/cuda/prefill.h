#pragma once

/// Products for the rows of prompts: matrix times matrix.

#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/linear.h"

namespace neuros::kernels::cuda {

/// Products of queries, keys and values that finish their heads: `view` is of the source's tokens,
/// as for finish_heads(). False, and nothing done: not for such heads or types. It depends on the
/// model, not on the tokens.
bool prefill_heads(const OpContext& context, const ActivationSource& source,
                   std::span<const LinearTask, 3> tasks, const HeadsView& view, base::DType pages,
                   std::span<std::byte> scratch);

/// All rows of the source are prompt rows. Row t of y has the same bits whatever the number of
/// rows.
void prefill_tasks(const OpContext& context, const ActivationSource& source,
                   std::span<const LinearTask> tasks, std::span<std::byte> scratch);
void prefill_swiglu(const OpContext& context, const ActivationSource& source,
                    const PackedMatrix& gate, const PackedMatrix& up, float* out,
                    std::span<std::byte> scratch);
int64_t prefill_scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::cuda
