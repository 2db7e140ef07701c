#include "kernels/cuda/fragment_element.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/llama_cpp/ops.h"
#include "kernels/cuda/llama_cpp/sums.cuh"
#include "kernels/linear.h"

#include <array>
#include <utility>

namespace neuros::kernels::cuda::llama_cpp {
namespace {

constexpr int kWarps = 4;

/// Tiles of several tokens are summed in one order, single tokens and odd shapes in another.
bool in_batch(const LinearArgs& args) {
  return args.tokens > 1 && args.weight.cols % 16 == 0 && args.weight.rows % 4 == 0;
}

/// Block (i, j): rows [4 i, 4 i + 4) of token j, one a warp; in batches of tokens 2 j and 2 j + 1,
/// one for each half of the warps.
template <base::DType kDType, bool kInBatch>
__global__ void linear_kernel(LinearArgs args) {
  wait_for_previous();
  const auto cols = static_cast<int>(args.weight.cols);
  const int64_t rows = args.weight.rows;
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (row >= rows) return;
  const int64_t token = kInBatch ? 2 * int64_t{blockIdx.y} + lane_index() / 16 : blockIdx.y;
  const bool exists = token < args.tokens;
  const float* x = args.x + (exists ? token : 0) * cols;
  const auto weight_at = [&](int i) {
    return fragment_element<kDType>(args.weight.data, cols, row, i);
  };
  const auto x_at = [&](int i) { return x[i]; };
  float sum = kInBatch ? dot_in_batch(weight_at, x_at, cols) : dot(weight_at, x_at, cols);
  if (!exists || lane_index() % (kInBatch ? 16 : 32) != 0) return;
  if (args.bias != nullptr) sum = __fadd_rn(sum, args.bias[row]);
  if (args.residual != nullptr) sum = __fadd_rn(sum, args.residual[token * rows + row]);
  args.y[token * rows + row] = sum;
}

using LinearKernelFn = void (*)(LinearArgs);

template <bool kInBatch, size_t... kIndices>
constexpr std::array<LinearKernelFn, sizeof...(kIndices)> kernels_of(
    std::index_sequence<kIndices...>) {
  return {linear_kernel<static_cast<base::DType>(kIndices), kInBatch>...};
}

}  // namespace

void linear(const OpContext& context, const LinearArgs& args) {
  constexpr auto kTypes = std::make_index_sequence<base::kWeightDTypeCount>();
  static const auto single = kernels_of<false>(kTypes), batch = kernels_of<true>(kTypes);
  if (args.tokens == 0) return;
  const auto dtype = static_cast<size_t>(args.weight.dtype);
  const int64_t tokens = in_batch(args) ? (args.tokens + 1) / 2 : args.tokens;
  const auto blocks = static_cast<unsigned>((args.weight.rows + kWarps - 1) / kWarps);
  launch(context, {.grid = dim3(blocks, static_cast<unsigned>(tokens)), .block = dim3(32 * kWarps)},
         (in_batch(args) ? batch : single).at(dtype), args);
}

}  // namespace neuros::kernels::cuda::llama_cpp
