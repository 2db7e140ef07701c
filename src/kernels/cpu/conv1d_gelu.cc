#include "kernels/cpu/conv1d_gelu.h"

#include "base/check.h"
#include "base/float16.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace neuros::kernels::cpu {
namespace {

constexpr int64_t kRowsMin = 16;
constexpr int64_t kRowsMax = 512;
constexpr int64_t kRowsGrain = 4;

int64_t aligned(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/// Rows [first, first + count) in the scratch: gathered, multiplied, and what the product needs.
struct Rows {
  int64_t first = 0, count = 0;
  float* gathered = nullptr;  ///< [count, taps * channels]
  float* product = nullptr;   ///< [count, channels out]

  static int64_t bytes(const OpLimits& limits) {
    return aligned(limits.tokens * limits.cols * 4) + aligned(limits.tokens * limits.rows * 4) +
           linear_scratch_bytes(limits);
  }
};

void gather(const Conv1dGeluArgs& args, int64_t row, float* out) {
  const int64_t item = row / args.frames_out();
  const int64_t first = row % args.frames_out() * args.stride - args.padding;
  for (int64_t frame = first; frame < first + args.taps; ++frame, out += args.channels) {
    if (frame < 0 || frame >= args.frames) {
      std::fill_n(out, args.channels, 0.0f);
      continue;
    }
    const uint16_t* x = args.x + (item * args.frames + frame) * args.channels;
    std::transform(x, x + args.channels, out, base::f16_to_float);
  }
}

float gelu(float z) {
  return 0.5f * z * std::erfc(-z * static_cast<float>(1 / std::numbers::sqrt2));
}

/// From a row of the product to y and its statistics; `product` ends as y.
void finish(const Conv1dGeluArgs& args, int64_t row, float* product) {
  const int64_t cols = args.weight.rows;
  const uint16_t* positions = args.positions;
  if (positions != nullptr) positions += row % args.frames_out() * cols;
  uint16_t* y = args.y + row * cols;
  double sum = 0.0, squares = 0.0;
  for (int64_t i = 0; i < cols; ++i) {
    const float position = positions == nullptr ? 0.0f : base::f16_to_float(positions[i]);
    y[i] = base::float_to_f16(gelu(product[i]) + position);
    product[i] = base::f16_to_float(y[i]);
    sum += product[i];
  }
  const double mean = sum / static_cast<double>(cols);
  for (int64_t i = 0; i < cols; ++i) squares += (product[i] - mean) * (product[i] - mean);
  args.mean[row] = static_cast<float>(mean);
  args.inverse_deviation[row] =
      static_cast<float>(1 / std::sqrt(squares / static_cast<double>(cols) + args.epsilon));
}

void convolve(Engine engine, const OpContext& context, const Conv1dGeluArgs& args,
              const Rows& rows) {
  const int64_t width = args.weight.cols, cols = args.weight.rows;
  base::ThreadPool& pool = *context.stream.cpu_workers();
  pool.parallel_for(rows.count, kRowsGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) gather(args, rows.first + i, rows.gathered + i * width);
  });
  const LinearTask task{
      .weight = args.weight, .bias = args.bias, .y = rows.product, .y_stride = cols};
  linear_tasks(engine, context, {.x = rows.gathered, .tokens = rows.count, .cols = width},
               {&task, 1});
  pool.parallel_for(rows.count, kRowsGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) finish(args, rows.first + i, rows.product + i * cols);
  });
}

}  // namespace

void conv1d_gelu(Engine engine, const OpContext& context, const Conv1dGeluArgs& args) {
  CHECK(args.weight.cols == int64_t{args.taps} * args.channels);
  CHECK(context.stream.cpu_workers() != nullptr, "a CPU op needs a CPU stream");
  OpLimits limits{.tokens = kRowsMax,
                  .cols = args.weight.cols,
                  .rows = args.weight.rows,
                  .workers = context.stream.cpu_workers()->size()};
  const auto room = std::ssize(context.scratch);
  while (limits.tokens > kRowsMin && Rows::bytes(limits) > room) limits.tokens /= 2;
  CHECK(Rows::bytes(limits) <= room, "scratch");
  const int64_t gathered_bytes = aligned(limits.tokens * limits.cols * 4);
  const int64_t own_bytes = gathered_bytes + aligned(limits.tokens * limits.rows * 4);
  const OpContext product{context.stream, context.scratch.subspan(static_cast<size_t>(own_bytes))};
  for (int64_t first = 0; first < args.rows(); first += limits.tokens) {
    convolve(engine, product, args,
             {.first = first,
              .count = std::min(limits.tokens, args.rows() - first),
              .gathered = reinterpret_cast<float*>(context.scratch.data()),
              .product = reinterpret_cast<float*>(context.scratch.data() + gathered_bytes)});
  }
}

int64_t conv1d_gelu_scratch_bytes(const OpLimits& limits) {
  OpLimits few = limits;
  few.tokens = kRowsMin;
  return Rows::bytes(few);
}

}  // namespace neuros::kernels::cpu
