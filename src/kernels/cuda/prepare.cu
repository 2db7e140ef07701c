#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prepare.cuh"
#include "kernels/cuda/prepare.h"

namespace neuros::kernels::cuda {
namespace {

constexpr int kSliceColumns = 4 * kBlockThreads;

/// A block is 1024 columns of one token. With a norm each of a token's blocks sums all its columns:
/// they come from the second-level cache, and the sum waits for no other block.
template <ActivationKind kKind>
__global__ void __launch_bounds__(kBlockThreads)
    prepare_kernel(SourceRows source, PreparedActivations out) {
  let_next_start();
  source.prefetch_norm();
  wait_for_previous();
  const int token = blockIdx.y;
  const int64_t columns = padded_columns(kKind, source.cols);
  const float* row = source.row(token);
  const RowFactors factors = row_factors<kKind>(source, row);
  const int column = blockIdx.x * kSliceColumns + 4 * threadIdx.x;
  if (column >= columns) return;
  if (kKind == ActivationKind::kF16 && column == 0)
    out.scales[token] = inverse_power(factors.scale);
  const Four values = prepared_values(source, row, column, factors);
  if constexpr (kKind == ActivationKind::kQ8) {
    const int64_t tile = token / kTileTokens, chunks = columns / kChunkColumns;
    out.values += tile * chunks * out.chunk_bytes();
    out.scales += tile * chunks * out.chunk_floats();
    store_prepared<kKind>(out, token % kTileTokens, column, columns, values);
  } else {
    store_prepared<kKind>(out, token, column, columns, values);
  }
}

}  // namespace

void prepare(const OpContext& context, const PrepareArgs& args) {
  const int64_t columns = padded_columns(args.kind, args.source.cols);
  const auto slices = static_cast<unsigned>((columns + kSliceColumns - 1) / kSliceColumns);
  const LaunchShape shape{dim3(slices, static_cast<unsigned>(args.source.tokens)),
                          dim3(kBlockThreads)};
  const SourceRows rows = source_rows(args.source);
  switch (args.kind) {
    case ActivationKind::kQ8:
      return launch(context, shape, prepare_kernel<ActivationKind::kQ8>, rows, args.out);
    case ActivationKind::kBF16:
      return launch(context, shape, prepare_kernel<ActivationKind::kBF16>, rows, args.out);
    case ActivationKind::kF16:
      return launch(context, shape, prepare_kernel<ActivationKind::kF16>, rows, args.out);
    case ActivationKind::kF32:
      return launch(context, shape, prepare_kernel<ActivationKind::kF32>, rows, args.out);
  }
}

}  // namespace neuros::kernels::cuda
