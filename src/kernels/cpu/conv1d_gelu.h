#pragma once

#include "kernels/conv1d_gelu.h"
#include "kernels/cpu/linear.h"

namespace neuros::kernels::cpu {

/// The op as a product: frames gathered to rows of all taps, as many at a time as the scratch has
/// room for.
void conv1d_gelu(Engine engine, const OpContext& context, const Conv1dGeluArgs& args);

/// Scratch that suffices: room for a few rows.
int64_t conv1d_gelu_scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::cpu
