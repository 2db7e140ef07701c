#include "kernels/op_table.h"

#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

namespace neuros::kernels {
namespace {

OpTable make_table() {
  OpTable table{.name = "ref",
                .scratch_bytes = ref::scratch_bytes,
                .embed = ref::embed,
                .rms_norm = ref::rms_norm,
                .rope_table = ref::rope_table,
                .qkv_rope = ref::qkv_rope,
                .attention = ref::attention,
                .gate_up = ref::gate_up,
                .logits = ref::logits,
                .top_logits = ref::top_logits,
                .conv1d_gelu = ref::conv1d_gelu,
                .encoder_attention = ref::encoder_attention};
  for (size_t i = 0; i < table.linear.size(); ++i) {
    table.linear[i] = ref::linear_kernel(static_cast<base::DType>(i));
  }
  return table;
}

}  // namespace

const OpTable& ref_ops() {
  static const OpTable table = make_table();
  return table;
}

}  // namespace neuros::kernels
