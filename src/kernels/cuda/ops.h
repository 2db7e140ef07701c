#pragma once

/// The ops of the CUDA table, beside the products in linear.h; each in a file of its name.

#include "kernels/op_table.h"

#include <cstdint>
#include <span>

namespace neuros::kernels::cuda {

void embed(const OpContext& context, const EmbedArgs& args);
void rms_norm(const OpContext& context, const RmsNormArgs& args);
void rope_table(const OpContext& context, const RopeTableArgs& args);
void qkv_rope(const OpContext& context, const QkvRopeArgs& args);
void attention(const OpContext& context, const AttentionArgs& args);
void gate_up(const OpContext& context, const GateUpArgs& args);
void logits(const OpContext& context, const LogitsArgs& args);
void top_logits(const OpContext& context, const TopLogitsArgs& args);
void conv1d_gelu(const OpContext& context, const Conv1dGeluArgs& args);
void encoder_attention(const OpContext& context, const EncoderAttentionArgs& args);

/// The end of qkv_rope: norms and rotates what its products left in args.q, `k` and `v` (both
/// [tokens, kv_heads * head_dim]); keys and values go to their pages.
void finish_heads(const OpContext& context, const QkvRopeArgs& args, const float* k,
                  const float* v);

/// What any op of the table needs of the end of the scratch, a multiple of 256.
int64_t op_scratch_bytes(const OpLimits& limits);
/// Scratch of qkv_rope beside that of its products, of attention, of top_logits and of conv1d_gelu.
int64_t qkv_rope_scratch_bytes(const OpLimits& limits);
int64_t attention_scratch_bytes(const OpLimits& limits);
int64_t top_logits_scratch_bytes(const OpLimits& limits);
int64_t conv1d_gelu_scratch_bytes(const OpLimits& limits);

/// What the launches of attention() for decode steps depend on beside the number of sequences: the
/// longest sequence, rounded up. Belongs into the key of a recorded pass.
int32_t attention_bucket(std::span<const SequenceSlice> sequences);

}  // namespace neuros::kernels::cuda
