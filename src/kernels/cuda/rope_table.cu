#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kPairsMax = 256;

/// Passed by value: the host's frequencies may be gone when the kernel runs.
struct Frequencies {
  float of[kPairsMax];
};

struct RopeView {
  const int32_t* first_row;
  const int32_t* rows;
  const int32_t* first_position;
  float* table;
  int32_t pairs;
  float magnitude;
};

/// Block (i, s): row i of sequence s, a thread a pair. The angle is reduced to a fraction of a turn
/// in double: with positions of a million that is exact to 1e-9, and the rest is float's own 2e-7.
__global__ void rope_table_kernel(RopeView view, const __grid_constant__ Frequencies frequencies) {
  constexpr double kTurnsPerRadian = 0.15915494309189533577;
  let_next_start();
  wait_for_previous();
  const int32_t i = static_cast<int32_t>(blockIdx.x), pair = static_cast<int32_t>(threadIdx.x);
  if (i >= view.rows[blockIdx.y] || pair >= view.pairs) return;
  const double position = view.first_position[blockIdx.y] + i;
  double turns = position * static_cast<double>(frequencies.of[pair]) * kTurnsPerRadian;
  turns -= rint(turns);
  float sine, cosine;
  sincospif(2.0f * static_cast<float>(turns), &sine, &cosine);
  const int64_t row = view.first_row[blockIdx.y] + i;
  float* out = view.table + (row * view.pairs + pair) * 2;
  out[0] = cosine * view.magnitude;
  out[1] = sine * view.magnitude;
}

}  // namespace

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  CHECK(std::ssize(args.inverse_frequency) <= kPairsMax);
  if (args.sequences.empty()) return;
  Frequencies frequencies{};
  std::copy(args.inverse_frequency.begin(), args.inverse_frequency.end(), frequencies.of);
  int32_t rows = 0;
  for (const SequenceSlice& slice : args.sequences) rows = std::max(rows, slice.rows);
  const DeviceBatch batch = batch_of(context);
  const RopeView view{.first_row = batch.first_row,
                      .rows = batch.rows,
                      .first_position = batch.first_position,
                      .table = args.table,
                      .pairs = static_cast<int32_t>(args.inverse_frequency.size()),
                      .magnitude = args.magnitude};
  const auto threads = static_cast<unsigned>((view.pairs + 31) / 32 * 32);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(rows), static_cast<unsigned>(args.sequences.size())),
          .block = dim3(threads)},
         rope_table_kernel, view, frequencies);
}

}  // namespace neuros::kernels::cuda
