#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pass_ops.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kPairsMax = 256;

/// Passed by value: the host's frequencies may be gone when the kernel runs.
struct Frequencies {
  float of[kPairsMax];
};

struct RopeView {
  const int32_t* positions;
  float* table;
  int32_t first_row;
  int32_t pairs;
  float magnitude;
};

/// A block a row, a thread a pair. The angle is reduced to a fraction of a turn
/// in double: with positions of a million that is exact to 1e-9, and the rest is float's own 2e-7.
__global__ void rope_table_kernel(RopeView view, const __grid_constant__ Frequencies frequencies) {
  constexpr double kTurnsPerRadian = 0.15915494309189533577;
  let_next_start();
  wait_for_previous();
  const int32_t pair = static_cast<int32_t>(threadIdx.x);
  if (pair >= view.pairs) return;
  const int64_t row = int64_t{view.first_row} + blockIdx.x;
  const double position = view.positions[row];
  double turns = position * static_cast<double>(frequencies.of[pair]) * kTurnsPerRadian;
  turns -= rint(turns);
  float sine, cosine;
  sincospif(2.0f * static_cast<float>(turns), &sine, &cosine);
  float* out = view.table + (row * view.pairs + pair) * 2;
  out[0] = cosine * view.magnitude;
  out[1] = sine * view.magnitude;
}

}  // namespace

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  flush_pass(context);
  CHECK(std::ssize(args.inverse_frequency) <= kPairsMax);
  Frequencies frequencies{};
  std::copy(args.inverse_frequency.begin(), args.inverse_frequency.end(), frequencies.of);
  int32_t first = INT32_MAX, end = 0;
  for (const SequenceSlice& slice : args.sequences) {
    first = std::min(first, slice.first_row);
    end = std::max(end, slice.first_row + slice.rows);
  }
  if (first >= end) return;
  const RopeView view{.positions = batch_of(context).positions,
                      .table = args.table,
                      .first_row = first,
                      .pairs = static_cast<int32_t>(args.inverse_frequency.size()),
                      .magnitude = args.magnitude};
  const auto threads = static_cast<unsigned>((view.pairs + 31) / 32 * 32);
  launch(context, {.grid = dim3(static_cast<unsigned>(end - first)), .block = dim3(threads)},
         rope_table_kernel, view, frequencies);
}

}  // namespace neuros::kernels::cuda
