#include "kernels/conv1d_gelu.h"

#include "base/float16.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <cmath>
#include <numbers>

namespace neuros::kernels::ref {
namespace {

double gelu(double z) {
  return 0.5 * z * std::erfc(-z / std::numbers::sqrt2);
}

/// The sum over the taps that lie inside the item, for one row of weights.
double convolve(const Conv1dGeluArgs& args, std::span<const float> weight, int64_t row) {
  const int64_t item = row / args.frames_out(), out = row % args.frames_out();
  double sum = 0.0;
  for (int32_t tap = 0; tap < args.taps; ++tap) {
    const int64_t frame = out * args.stride - args.padding + tap;
    if (frame < 0 || frame >= args.frames) continue;
    const uint16_t* x = args.x + (item * args.frames + frame) * args.channels;
    const float* w = weight.data() + int64_t{tap} * args.channels;
    for (int32_t i = 0; i < args.channels; ++i) {
      sum += static_cast<double>(w[i]) * base::f16_to_float(x[i]);
    }
  }
  return sum;
}

void normalise(const Conv1dGeluArgs& args, int64_t row) {
  const int64_t cols = args.weight.rows;
  const uint16_t* y = args.y + row * cols;
  double sum = 0.0, squares = 0.0;
  for (int64_t i = 0; i < cols; ++i) sum += base::f16_to_float(y[i]);
  const double mean = sum / static_cast<double>(cols);
  for (int64_t i = 0; i < cols; ++i) {
    const double rest = base::f16_to_float(y[i]) - mean;
    squares += rest * rest;
  }
  args.mean[row] = static_cast<float>(mean);
  args.inverse_deviation[row] =
      static_cast<float>(1 / std::sqrt(squares / static_cast<double>(cols) + args.epsilon));
}

}  // namespace

void conv1d_gelu(const OpContext& context, const Conv1dGeluArgs& args) {
  CHECK(args.weight.cols == int64_t{args.taps} * args.channels);
  const int64_t cols = args.weight.rows, width = args.weight.cols;
  const std::span weights = Workspace(context).take<float>(workers(context) * width);
  for_rows(context, cols, [&](int64_t channel, int worker) {
    const auto size = static_cast<size_t>(width);
    const std::span weight = weights.subspan(static_cast<size_t>(worker) * size, size);
    read_row(args.weight, channel, weight);
    const double bias = args.bias == nullptr ? 0.0 : args.bias[channel];
    for (int64_t row = 0; row < args.rows(); ++row) {
      double value = gelu(convolve(args, weight, row) + bias);
      if (args.positions != nullptr) {
        value += base::f16_to_float(args.positions[row % args.frames_out() * cols + channel]);
      }
      args.y[row * cols + channel] = base::float_to_f16(static_cast<float>(value));
    }
  });
  for_rows(context, args.rows(), [&](int64_t row, int) { normalise(args, row); });
}

}  // namespace neuros::kernels::ref
