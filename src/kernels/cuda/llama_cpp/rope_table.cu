#include "base/check.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/llama_cpp/rope_powers.h"

#include <algorithm>

namespace neuros::kernels::cuda::llama_cpp {
namespace {

constexpr int kPairsMax = 256;

/// Passed by value: the host's frequencies may be gone when the kernel runs.
struct Frequencies {
  float of[kPairsMax];
  int pairs = 0;
  bool are_powers = false;
};

/// A thread a row, as each angle may be made of the one before.
__global__ void rope_table_kernel(const __grid_constant__ Frequencies frequencies, float magnitude,
                                  const int32_t* positions, float* table) {
  wait_for_previous();
  const auto position = static_cast<float>(positions[blockIdx.x]);
  float* row = table + int64_t{blockIdx.x} * frequencies.pairs * 2;
  float angle = 0.0f;
  for (int pair = 0; pair < frequencies.pairs; ++pair) {
    angle = frequencies.are_powers && pair > 0 ? __fmul_rn(angle, frequencies.of[1])
                                               : __fmul_rn(position, frequencies.of[pair]);
    row[2 * pair] = __fmul_rn(static_cast<float>(cos(static_cast<double>(angle))), magnitude);
    row[2 * pair + 1] = __fmul_rn(static_cast<float>(sin(static_cast<double>(angle))), magnitude);
  }
}

}  // namespace

void rope_table(const OpContext& context, const RopeTableArgs& args) {
  CHECK(std::ssize(args.inverse_frequency) <= kPairsMax);
  Frequencies frequencies;
  frequencies.pairs = static_cast<int>(args.inverse_frequency.size());
  frequencies.are_powers = kernels::llama_cpp::are_powers(args.inverse_frequency);
  std::copy(args.inverse_frequency.begin(), args.inverse_frequency.end(), frequencies.of);
  const int32_t* positions = batch_of(context).positions;
  for (const SequenceSlice& slice : args.sequences) {
    if (slice.rows == 0) continue;
    launch(context, {.grid = dim3(static_cast<unsigned>(slice.rows)), .block = dim3(1)},
           rope_table_kernel, frequencies, args.magnitude, positions + slice.first_row,
           args.table + int64_t{slice.first_row} * frequencies.pairs * 2);
  }
}

}  // namespace neuros::kernels::cuda::llama_cpp
