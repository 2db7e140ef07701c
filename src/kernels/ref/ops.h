#pragma once

/// The reference ops, one file each. Sums are made in double; weights are dequantised exactly and
/// activations stay float.

#include "kernels/attention.h"
#include "kernels/conv1d_gelu.h"
#include "kernels/embed.h"
#include "kernels/encoder_attention.h"
#include "kernels/gate_up.h"
#include "kernels/linear.h"
#include "kernels/logits.h"
#include "kernels/qkv_rope.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/top_logits.h"

#include <span>

namespace neuros::kernels::ref {

void embed(const OpContext& context, const EmbedArgs& args);
void rms_norm(const OpContext& context, const RmsNormArgs& args);
void rope_table(const OpContext& context, const RopeTableArgs& args);
void linear(const OpContext& context, const LinearArgs& args);
void qkv_rope(const OpContext& context, const QkvRopeArgs& args);
void attention(const OpContext& context, const AttentionArgs& args);
void gate_up(const OpContext& context, const GateUpArgs& args);
void logits(const OpContext& context, const LogitsArgs& args);
void top_logits(const OpContext& context, const TopLogitsArgs& args);
void conv1d_gelu(const OpContext& context, const Conv1dGeluArgs& args);
void encoder_attention(const OpContext& context, const EncoderAttentionArgs& args);

/// The kernel of a weight type; all of them multiply with linear().
LinearKernel linear_kernel(base::DType dtype);

/// Row `row` of a matrix in its file format, as floats [cols].
void read_row(const PackedMatrix& matrix, int64_t row, std::span<float> out);

/// Writes the keys and values of all tokens, [tokens, kv_heads * head_dim], to the pages of their
/// positions.
void store_keys_and_values(const QkvRopeArgs& args, const float* keys, const float* values);

/// One row of rms_norm.
void rms_norm_row(std::span<const float> x, const float* weight, float epsilon, float* out);

/// sum(a[i] * b[i])
double dot(std::span<const float> a, const float* b);

}  // namespace neuros::kernels::ref
