#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/fragment_element.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pass_ops.h"

#include <array>
#include <utility>

namespace neuros::kernels::cuda {
namespace {

constexpr int kThreads = 256;

struct EmbedView {
  const std::byte* table;
  const int32_t* ids;
  float* out;
  int64_t cols;
  float scale;
};

/// Block (i, j): columns [256 j, 256 j + 256) of row ids[i].
template <base::DType kDType>
__global__ void embed_kernel(EmbedView view) {
  let_next_start();
  wait_for_previous();
  const int64_t col = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (col >= view.cols) return;
  const int64_t row = view.ids[blockIdx.x];
  const float value = fragment_element<kDType>(view.table, view.cols, row, col);
  view.out[blockIdx.x * view.cols + col] = value * view.scale;
}

using EmbedKernel = void (*)(EmbedView);

template <size_t... kIndices>
constexpr std::array<EmbedKernel, sizeof...(kIndices)> embed_kernels(
    std::index_sequence<kIndices...>) {
  return {embed_kernel<static_cast<base::DType>(kIndices)>...};
}

}  // namespace

void embed(const OpContext& context, const EmbedArgs& args) {
  flush_pass(context);
  static const auto kernels = embed_kernels(std::make_index_sequence<base::kWeightDTypeCount>());
  if (args.ids.empty()) return;
  const auto ids = static_cast<unsigned>(args.ids.size());
  const auto blocks = static_cast<unsigned>((args.table.cols + kThreads - 1) / kThreads);
  const EmbedView view{.table = args.table.data,
                       .ids = batch_of(context).ids,
                       .out = args.out,
                       .cols = args.table.cols,
                       .scale = args.scale};
  launch(context, {.grid = dim3(ids, blocks), .block = dim3(kThreads)},
         kernels.at(static_cast<size_t>(args.table.dtype)), view);
}

}  // namespace neuros::kernels::cuda
