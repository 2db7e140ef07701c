#pragma once

#include "base/function_ref.h"
#include "kernels/kv_layout.h"
#include "kernels/op_context.h"

#include <cstdint>
#include <span>

namespace neuros::kernels {

/// What differs from one forward pass to the next, in the host's memory. The rows of decode steps
/// (one generated token of a sequence) come first.
struct BatchView {
  std::span<const int32_t> ids;  ///< [tokens]
  std::span<const SequenceSlice> sequences;
  std::span<const int32_t> logit_rows;  ///< rows whose logits are wanted
};

/// Brings the batch to where the ops of a device read it. Called before the ops of each pass, which
/// get the same spans in their arguments, on the host.
using StageBatchFn = void (*)(const OpContext&, const BatchView&);
/// Ops may be collected and run together. What attention and gate_up leave at `out` is for the next
/// op, a linear one that reads it, and need not be written at all.
using RunPassFn = void (*)(const OpContext&, const BatchView&,
                           base::FunctionRef<void(const OpContext&)>);

}  // namespace neuros::kernels
