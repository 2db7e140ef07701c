#include "kernels/op_table.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/ref/workspace.h"

namespace neuros::kernels {
namespace {

/// The reference's needs, and gate_up's second half.
int64_t scratch_bytes(const OpLimits& limits) {
  return ref::scratch_bytes(limits) +
         static_cast<int64_t>(ref::Workspace::padded(
             static_cast<size_t>(limits.tokens * limits.rows) * sizeof(float)));
}

OpTable make_table() {
  OpTable table = ref_ops();
  table.name = "llama.cpp";
  table.scratch_bytes = scratch_bytes;
  table.rms_norm = llama_cpp::rms_norm;
  table.rope_table = llama_cpp::rope_table;
  table.qkv_rope = llama_cpp::qkv_rope;
  table.attention = llama_cpp::attention;
  table.gate_up = llama_cpp::gate_up;
  table.logits = llama_cpp::logits;
  for (LinearKernel& kernel : table.linear) kernel.run = llama_cpp::linear;
  return table;
}

}  // namespace

const OpTable& llama_cpp_ops() {
  static const OpTable table = make_table();
  return table;
}

}  // namespace neuros::kernels
