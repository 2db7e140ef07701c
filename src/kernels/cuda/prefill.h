#pragma once

/// Products for the rows of prompts: matrix times matrix.

#include "kernels/cuda/heads_view.h"
#include "kernels/cuda/linear.h"

namespace neuros::kernels::cuda {

/// Rows of activations as the operand of prompt products ("Prepared halves", prefill_product.h).
struct PreparedRows {
  std::byte* data = nullptr;
  int64_t padded_tokens = 0;
};

/// Where `tokens` rows for prefill_prepared() are to be written, as bf16; only columns that are
/// there. No data: not for such weights. It depends on the model, not on the tokens.
PreparedRows prepared_rows(const PackedMatrix& weight, int64_t tokens,
                           std::span<std::byte> scratch);
/// The product of what lies there.
void prefill_prepared(const OpContext& context, int64_t tokens, const LinearTask& task,
                      std::span<std::byte> scratch);

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
/// SwiGLU and the product of what it makes, which nobody else sees: it is rounded where it is made,
/// not written as floats. Same bits as prefill_swiglu() and prefill_tasks(). False, and nothing
/// done: not for such weights. It depends on the model, not on the tokens.
bool prefill_feed_forward(const OpContext& context, const ActivationSource& source,
                          const PackedMatrix& gate, const PackedMatrix& up, const LinearTask& down,
                          std::span<std::byte> scratch);
int64_t prefill_scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::cuda
