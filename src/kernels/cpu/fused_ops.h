#pragma once

#include "kernels/cpu/linear.h"
#include "kernels/op_table.h"

namespace neuros::kernels::cpu {

/// Fills the ops of a table that are not LinearKernel rows: embed, rms_norm, rope_table, qkv_rope,
/// attention, gate_up, logits, conv1d_gelu, encoder_attention, scratch_bytes.
void add_fused_ops(Engine engine, OpTable& table);

}  // namespace neuros::kernels::cpu
