#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/conv1d_gelu_rows.h"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"

#include <cuda_fp16.h>

namespace neuros::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// One block a row.
__global__ void __launch_bounds__(kThreads)
    gather_kernel(Conv1dGeluArgs args, ConvolutionRows rows, int32_t frames_out, float* out) {
  let_next_start();
  wait_for_previous();
  const int64_t row = rows.first + blockIdx.x;
  const int64_t item = row / frames_out;
  const int64_t first = row % frames_out * args.stride - args.padding;
  const int64_t width = args.weight.cols;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    const int64_t frame = first + i / args.channels, channel = i % args.channels;
    float value = 0.0f;
    if (frame >= 0 && frame < args.frames) {
      const uint16_t* x = args.x + (item * args.frames + frame) * args.channels;
      value = __half2float(__ushort_as_half(__ldcg(x + channel)));
    }
    out[blockIdx.x * width + i] = value;
  }
}

/// One block a row; a thread reads again only what it wrote itself.
__global__ void __launch_bounds__(kThreads)
    finish_kernel(Conv1dGeluArgs args, ConvolutionRows rows, int32_t frames_out,
                  const float* product) {
  __shared__ float sums[kWarpsMax], squares[kWarpsMax];
  let_next_start();
  wait_for_previous();
  const int64_t row = rows.first + blockIdx.x, cols = args.weight.rows;
  const uint16_t* positions = args.positions;
  if (positions != nullptr) positions += row % frames_out * cols;
  uint16_t* y = args.y + row * cols;
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < cols; i += kThreads) {
    float value = gelu(__ldcg(product + blockIdx.x * cols + i));
    if (positions != nullptr) value += __half2float(__ushort_as_half(positions[i]));
    const __half rounded = __float2half_rn(value);
    y[i] = __half_as_ushort(rounded);
    sum += __half2float(rounded);
  }
  const float mean = block_sum(sum, sums) / static_cast<float>(cols);
  float square = 0.0f;
  for (int64_t i = threadIdx.x; i < cols; i += kThreads) {
    const float rest = __half2float(__ushort_as_half(y[i])) - mean;
    square += rest * rest;
  }
  const float variance = block_sum(square, squares) / static_cast<float>(cols);
  if (threadIdx.x != 0) return;
  args.mean[row] = mean;
  args.inverse_deviation[row] = 1.0f / sqrtf(variance + args.epsilon);
}

LaunchShape shape_of(ConvolutionRows rows) {
  return {.grid = dim3(static_cast<unsigned>(rows.count)), .block = dim3(kThreads)};
}

}  // namespace

void gather_frames(const OpContext& context, const Conv1dGeluArgs& args, ConvolutionRows rows,
                   float* out) {
  launch(context, shape_of(rows), gather_kernel, args, rows, args.frames_out(), out);
}

void finish_convolution(const OpContext& context, const Conv1dGeluArgs& args, ConvolutionRows rows,
                        const float* product) {
  launch(context, shape_of(rows), finish_kernel, args, rows, args.frames_out(), product);
}

}  // namespace neuros::kernels::cuda
