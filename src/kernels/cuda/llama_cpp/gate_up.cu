#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/gate_up.h"
#include "kernels/llama_cpp/vector_exp.h"

namespace neuros::kernels::cuda::llama_cpp {
namespace {

constexpr int kThreads = 256;

/// Block (i, token): elements [256 i, 256 i + 256). Whole groups of 16 go through the vector
/// function.
__global__ void swiglu_kernel(float* out, const float* up, int64_t rows) {
  wait_for_previous();
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= rows) return;
  const int64_t at = blockIdx.y * rows + row;
  const float x = out[at];
  const float power = row < rows / 16 * 16 ? kernels::llama_cpp::vector_exp(-x)
                                           : static_cast<float>(exp(static_cast<double>(-x)));
  out[at] = __fmul_rn(__fdiv_rn(x, __fadd_rn(1.0f, power)), up[at]);
}

}  // namespace

void gate_up(const OpContext& context, const GateUpArgs& args) {
  if (args.tokens == 0) return;
  const int64_t hidden = args.gate.cols, ffn = args.gate.rows;
  Scratch scratch(context);
  float* normed = scratch.take(args.tokens * hidden);
  float* up = scratch.take(args.tokens * ffn);
  rms_norm(context, {args.x, args.norm_weight, normed, args.tokens, hidden, args.epsilon});
  linear(context, {.weight = args.gate, .x = normed, .y = args.out, .tokens = args.tokens});
  linear(context, {.weight = args.up, .x = normed, .y = up, .tokens = args.tokens});
  const auto blocks = static_cast<unsigned>((ffn + kThreads - 1) / kThreads);
  launch(context,
         {.grid = dim3(blocks, static_cast<unsigned>(args.tokens)), .block = dim3(kThreads)},
         swiglu_kernel, args.out, up, ffn);
}

}  // namespace neuros::kernels::cuda::llama_cpp
