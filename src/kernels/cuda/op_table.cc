#include "kernels/op_table.h"

#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/ops.h"

#include <algorithm>

namespace neuros::kernels {
namespace {

int64_t scratch_bytes(const OpLimits& limits) {
  const int64_t products = cuda::linear_scratch_bytes(limits);
  const int64_t op = std::max(
      {products + cuda::qkv_rope_scratch_bytes(limits), cuda::attention_scratch_bytes(limits)});
  return cuda::batch_bytes(limits) + op;
}

OpTable make_table() {
  OpTable table;
  table.name = "cuda";
  table.scratch_bytes = scratch_bytes;
  table.host_bytes = cuda::batch_bytes;
  table.stage_batch = cuda::stage_batch;
  table.embed = cuda::embed;
  table.rms_norm = cuda::rms_norm;
  table.rope_table = cuda::rope_table;
  table.qkv_rope = cuda::qkv_rope;
  table.attention = cuda::attention;
  table.gate_up = cuda::gate_up;
  table.logits = cuda::logits;
  table.linear = cuda::linear_kernels();
  return table;
}

}  // namespace

const OpTable* cuda_ops() {
  static const OpTable table = make_table();
  return &table;
}

}  // namespace neuros::kernels
