#include "kernels/op_table.h"

#include "base/check.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/cuda/ops.h"

#include <algorithm>

namespace neuros::kernels {
namespace cuda::llama_cpp {
namespace {

int64_t padded_bytes(int64_t floats) {
  return round_up(floats * static_cast<int64_t>(sizeof(float)), 256);
}

int64_t scratch_bytes(const OpLimits& limits) {
  return cuda_ops()->kept_bytes(limits) +
         std::max(op_scratch_bytes(limits), Scratch::bytes(limits));
}

OpTable make_table() {
  OpTable table = *cuda_ops();
  table.name = "cuda-llama.cpp";
  table.scratch_bytes = scratch_bytes;
  table.recording_key = nullptr;
  table.run_pass = nullptr;
  table.choice_values = nullptr;
  table.shipped_choices = nullptr;
  table.rms_norm = rms_norm;
  table.rope_table = rope_table;
  table.qkv_rope = qkv_rope;
  table.attention = attention;
  table.gate_up = gate_up;
  table.logits = logits;
  for (LinearKernel& kernel : table.linear) {
    if (kernel) kernel.run = linear;
  }
  return table;
}

}  // namespace

Scratch::Scratch(const OpContext& context)
    : rest_(context.scratch.last(static_cast<size_t>(bytes(context.limits)))) {}

int64_t Scratch::bytes(const OpLimits& limits) {
  const int64_t rows = std::max(limits.tokens, limits.logit_rows);
  return padded_bytes(rows * limits.cols) + 2 * padded_bytes(limits.tokens * limits.rows);
}

float* Scratch::take(int64_t floats) {
  const auto bytes = static_cast<size_t>(padded_bytes(floats));
  CHECK(bytes <= rest_.size(), "scratch: less than scratch_bytes() asked for");
  auto* taken = reinterpret_cast<float*>(rest_.data());
  rest_ = rest_.subspan(bytes);
  return taken;
}

void logits(const OpContext& context, const LogitsArgs& args) {
  const auto rows = std::ssize(args.rows);
  const int64_t hidden = args.head.cols;
  float* normed = Scratch(context).take(rows * hidden);
  rms_norm_rows(context, {args.x, args.norm_weight, normed, rows, hidden, args.epsilon},
                batch_of(context).logit_rows);
  linear(context, {.weight = args.head, .x = normed, .y = args.logits, .tokens = rows});
}

}  // namespace cuda::llama_cpp

const OpTable* cuda_llama_cpp_ops() {
  static const OpTable table = cuda::llama_cpp::make_table();
  return &table;
}

}  // namespace neuros::kernels
