#pragma once

/// The arithmetic of llama.cpp's CPU backend (August 2026, flash attention, compiled by GCC for
/// AVX-512), order of sums and roundings included: for comparing answers with that program's, like
/// with like. A difference of one bit in an F32 sum is enough to round some key, value or query to
/// another f16, which moves log-probabilities by up to 0.01. It holds for F32 weights and f16 KV;
/// other weights are multiplied as F32, where that program rounds activations to eight bits. Not
/// batch-invariant, because that program is not: linear() sums one token in another order than
/// several.

#include "kernels/attention.h"
#include "kernels/gate_up.h"
#include "kernels/linear.h"
#include "kernels/logits.h"
#include "kernels/qkv_rope.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

#include <span>

namespace neuros::kernels::llama_cpp {

void rms_norm(const OpContext& context, const RmsNormArgs& args);
void rope_table(const OpContext& context, const RopeTableArgs& args);
void linear(const OpContext& context, const LinearArgs& args);
void qkv_rope(const OpContext& context, const QkvRopeArgs& args);
/// Queries rounded to f16, weighted values summed position by position in f16. KV must be f16.
/// One pass over the positions, which that program takes below 64 rows and 512 positions.
void attention(const OpContext& context, const AttentionArgs& args);
void gate_up(const OpContext& context, const GateUpArgs& args);
void logits(const OpContext& context, const LogitsArgs& args);

}  // namespace neuros::kernels::llama_cpp
