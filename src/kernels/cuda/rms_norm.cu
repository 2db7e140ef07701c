#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pass_ops.h"

namespace neuros::kernels::cuda {
namespace {

/// One block a row. `out` may be `x`: every thread writes only what it alone reads again.
__global__ void rms_norm_kernel(RmsNormArgs args) {
  __shared__ float partial[kWarpsMax];
  let_next_start();
  wait_for_previous();
  const float* x = args.x + blockIdx.x * args.cols;
  float* out = args.out + blockIdx.x * args.cols;
  float squares = 0.0f;
  for (int64_t i = threadIdx.x; i < args.cols; i += blockDim.x) squares += x[i] * x[i];
  const float mean = block_sum(squares, partial) / static_cast<float>(args.cols);
  const float factor = 1.0f / sqrtf(mean + args.epsilon);
  for (int64_t i = threadIdx.x; i < args.cols; i += blockDim.x) {
    out[i] = x[i] * factor * args.weight[i];
  }
}

}  // namespace

void rms_norm(const OpContext& context, const RmsNormArgs& args) {
  flush_pass(context);
  if (args.tokens == 0) return;
  // By the columns alone, so that the order of the sum does not depend on the batch.
  const unsigned threads = args.cols <= 256 ? 64 : args.cols <= 2048 ? 256 : 1024;
  launch(context, {.grid = dim3(static_cast<unsigned>(args.tokens)), .block = dim3(threads)},
         rms_norm_kernel, args);
}

}  // namespace neuros::kernels::cuda
