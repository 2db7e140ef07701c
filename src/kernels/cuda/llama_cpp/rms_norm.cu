#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/cuda/llama_cpp/sums.cuh"
#include "kernels/rms_norm.h"

namespace neuros::kernels::cuda::llama_cpp {
namespace {

/// A warp a row.
__global__ void rms_norm_kernel(RmsNormArgs args, const int32_t* rows) {
  wait_for_previous();
  const int64_t row = rows == nullptr ? blockIdx.x : rows[blockIdx.x];
  const auto cols = static_cast<int>(args.cols);
  const float* x = args.x + row * cols;
  float* out = args.out + int64_t{blockIdx.x} * cols;
  const float factor = norm_factor(x, cols, args.epsilon);
  for (int i = lane_index(); i < cols; i += 32) {
    out[i] = __fmul_rn(__fmul_rn(x[i], factor), args.weight[i]);
  }
}

}  // namespace

void rms_norm_rows(const OpContext& context, const RmsNormArgs& args, const int32_t* rows) {
  if (args.tokens == 0) return;
  launch(context, {.grid = dim3(static_cast<unsigned>(args.tokens)), .block = dim3(32)},
         rms_norm_kernel, args, rows);
}

void rms_norm(const OpContext& context, const RmsNormArgs& args) {
  rms_norm_rows(context, args, nullptr);
}

}  // namespace neuros::kernels::cuda::llama_cpp
