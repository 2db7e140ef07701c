#include "kernels/linear.h"

#include "kernels/llama_cpp/ops.h"
#include "kernels/llama_cpp/sums.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

namespace neuros::kernels::llama_cpp {
namespace {

using Dot = float (*)(std::span<const float>, const float*);

/// Tiles of several tokens are summed in one order, single tokens and odd shapes in another.
Dot dot_for(const LinearArgs& args) {
  const bool tiles = args.tokens > 1 && args.weight.cols % 16 == 0 && args.weight.rows % 4 == 0;
  return tiles ? dot_in_batch : dot;
}

}  // namespace

void linear(const OpContext& context, const LinearArgs& args) {
  const int64_t rows = args.weight.rows, cols = args.weight.cols;
  const Dot dot_rows = dot_for(args);
  const std::span weights = ref::Workspace(context).take<float>(ref::workers(context) * cols);
  ref::for_rows(context, rows, [&](int64_t row, int worker) {
    const std::span weight =
        weights.subspan(static_cast<size_t>(worker * cols), static_cast<size_t>(cols));
    ref::read_row(args.weight, row, weight);
    for (int64_t token = 0; token < args.tokens; ++token) {
      float sum = dot_rows(weight, args.x + token * cols);
      if (args.bias != nullptr) sum += args.bias[row];
      if (args.residual != nullptr) sum += args.residual[token * rows + row];
      args.y[token * rows + row] = sum;
    }
  });
}

}  // namespace neuros::kernels::llama_cpp
