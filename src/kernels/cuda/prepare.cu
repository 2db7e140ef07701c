#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prepare.cuh"
#include "kernels/cuda/prepare.h"
#include "kernels/cuda/store_pieces.cuh"

namespace neuros::kernels::cuda {
namespace {

constexpr int kSliceColumns = 4 * kBlockThreads;

/// A block is 2048 columns of one token. With a norm each of a token's blocks sums all its columns:
/// they come from the second-level cache, and no block waits for another.
template <ActivationKind kKind>
__global__ void __launch_bounds__(kBlockThreads)
    prepare_kernel(SourceRows source, PreparedActivations out) {
  let_next_start();
  const bool normed = source.norm_weight != nullptr;
  const int first = blockIdx.x * kSliceColumns;
  WidePart weight{};
  RowPart<1> own_weight{};
  if (normed) {
    if (kKind == ActivationKind::kF16) weight.load(source.norm_weight, 0, source.cols);
    own_weight.load(source.norm_weight, first, source.cols);
  }
  wait_for_previous();
  const int token = blockIdx.y;
  const int columns = static_cast<int>(padded_columns(kKind, source.cols));
  const float* row = source.row(token);
  RowPart<1> own;
  own.load(row, first, source.cols);
  WidePart x{};
  if (normed || kKind == ActivationKind::kF16) x.load(row, 0, source.cols);
  const RowFactors factors = row_factors<kKind>(source, row, x, weight);
  if (kKind == ActivationKind::kF16 && blockIdx.x == 0 && threadIdx.x == 0) {
    out.scales[token] = inverse_power(factors.scale);
  }
  const Four values[1]{scaled(own.four[0], own_weight.four[0], normed, factors)};
  if constexpr (kKind != ActivationKind::kF32) {
    if (out.piece_bytes != 0) {
      const int column = RowPart<1>::column(first, 0);
      return store_in_pieces<kKind>(out, token, column, columns, values[0]);
    }
  }
  int in_tile = token;
  if constexpr (kKind == ActivationKind::kQ8) {
    const int64_t chunks = static_cast<int64_t>(token / kTileTokens) * (columns / kChunkColumns);
    out.values += chunks * out.chunk_bytes();
    out.scales += chunks * out.chunk_floats();
    in_tile = token % kTileTokens;
  }
  store_part<kKind>(out, in_tile, first, columns, values);
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
