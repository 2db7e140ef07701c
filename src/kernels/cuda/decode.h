#pragma once

/// Products for decode steps: every weight is read once for up to 64 tokens, and reading them is
/// what takes the time. The kernels are in decode_kernel.cuh and, for many tokens on Hopper,
/// decode_many.cuh.

#include "kernels/cuda/activations.h"
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

/// What an op leaves to the product after it, and nobody else: all rows are decode steps, and it
/// rounds them where it makes them, as prepare() would.
struct HandedOn {
  PreparedActivations pieces;
  ActivationKind kind = ActivationKind::kQ8;
  std::span<std::byte> rest;  ///< of the scratch, for both ops

  bool is_possible() const { return pieces.piece_bytes != 0; }
};
/// For a product of `tokens` steps with `weight`. Not possible where it prepares rows itself, or
/// needs to see whole rows for it. It depends on the model and on the number of tokens.
HandedOn hand_on(const PackedMatrix& weight, int64_t tokens, std::span<std::byte> scratch);
/// Bytes that hand_on() takes of a scratch, at most.
int64_t handed_on_bytes(const OpLimits& limits);
/// The product. `source`: whose rows these are.
void decode_handed_on(const OpContext& context, const HandedOn& handed,
                      const ActivationSource& source, const LinearTask& task);
/// decode_swiglu() that leaves its rows to a product. False, and nothing done: not with such
/// weights.
bool decode_swiglu_handed_on(const OpContext& context, const ActivationSource& source,
                             const PackedMatrix& gate, const PackedMatrix& up,
                             const HandedOn& handed);

}  // namespace neuros::kernels::cuda
