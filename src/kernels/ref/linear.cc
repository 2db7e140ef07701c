#include "kernels/linear.h"

#include "kernels/quantise.h"
#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace neuros::kernels::ref {
namespace {

using base::DType;

template <DType kDType>
int64_t packed_bytes(int64_t rows, int64_t cols) {
  return static_cast<int64_t>(
      Workspace::padded(static_cast<size_t>(rows * base::bytes_of(kDType, cols))));
}

/// Packed is as the file has it.
template <DType kDType>
void pack(const std::byte* source, int64_t rows, int64_t cols, int64_t first, int64_t count,
          std::byte* packed) {
  CHECK(first >= 0 && count >= 0 && first + count <= rows);
  const int64_t row_bytes = base::bytes_of(kDType, cols);
  std::memcpy(packed + first * row_bytes, source, static_cast<size_t>(count * row_bytes));
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  read_row(matrix, row, {out, static_cast<size_t>(matrix.cols)});
}

template <size_t... kIndices>
std::array<LinearKernel, sizeof...(kIndices)> make_kernels(std::index_sequence<kIndices...>) {
  static const std::array<std::string, sizeof...(kIndices)> names{
      ("ref " + std::string(base::name(static_cast<DType>(kIndices))))...};
  return {LinearKernel{.name = names[kIndices].c_str(),
                       .packed_bytes = packed_bytes<static_cast<DType>(kIndices)>,
                       .pack = pack<static_cast<DType>(kIndices)>,
                       .unpack_row = unpack_row,
                       .run = linear}...};
}

}  // namespace

LinearKernel linear_kernel(DType dtype) {
  static const auto kernels =
      make_kernels(std::make_index_sequence<static_cast<size_t>(base::kWeightDTypeCount)>());
  return kernels.at(static_cast<size_t>(dtype));
}

void read_row(const PackedMatrix& matrix, int64_t row, std::span<float> out) {
  CHECK(row >= 0 && row < matrix.rows && std::ssize(out) == matrix.cols);
  dequantise(matrix.dtype, matrix.data + row * base::bytes_of(matrix.dtype, matrix.cols), out);
}

void linear(const OpContext& context, const LinearArgs& args) {
  const int64_t rows = args.weight.rows, cols = args.weight.cols;
  const std::span weights = Workspace(context).take<float>(workers(context) * cols);
  for_rows(context, rows, [&](int64_t row, int worker) {
    const std::span weight =
        weights.subspan(static_cast<size_t>(worker * cols), static_cast<size_t>(cols));
    read_row(args.weight, row, weight);
    for (int64_t token = 0; token < args.tokens; ++token) {
      double sum = dot(weight, args.x + token * cols);
      if (args.bias != nullptr) sum += args.bias[row];
      if (args.residual != nullptr) sum += args.residual[token * rows + row];
      args.y[token * rows + row] = static_cast<float>(sum);
    }
  });
}

}  // namespace neuros::kernels::ref
