#include "builder/rounding_error.h"

#include "base/check.h"
#include "kernels/quantise.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace neuros::builder {
namespace {

constexpr int64_t kRowsMost = 8;
constexpr int64_t kColsMost = 1024;  ///< a multiple of every block

/// Columns that are alike are judged by the first of them. Where they differ, by all: most of what
/// is multiplied may be a few of them, anywhere.
int64_t sampled_cols(const base::TensorView& matrix, std::span<const float> importance) {
  return importance.empty() ? std::min(matrix.cols(), kColsMost) : matrix.cols();
}

}  // namespace

double rounding_error(const base::TensorView& matrix, base::DType dtype,
                      std::span<const float> importance) {
  CHECK(importance.empty() || std::ssize(importance) == matrix.cols(), "a weight for each column");
  if (dtype == matrix.dtype) return 0;
  const auto row_bytes = static_cast<size_t>(base::bytes_of(matrix.dtype, matrix.cols()));
  const auto cols = static_cast<size_t>(sampled_cols(matrix, importance));
  std::vector<float> values(cols), rounded(cols);
  std::vector<std::byte> blocks(
      static_cast<size_t>(base::bytes_of(dtype, static_cast<int64_t>(cols))));
  double error = 0, energy = 0;
  const int64_t rows = std::min(matrix.rows(), kRowsMost);
  for (int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<size_t>(i * matrix.rows() / rows);
    kernels::dequantise(matrix.dtype, matrix.bytes.data() + row * row_bytes, values);
    kernels::quantise(dtype, values, {}, blocks.data());
    kernels::dequantise(dtype, blocks.data(), rounded);
    for (size_t k = 0; k < cols; ++k) {
      const double weight = importance.empty() ? 1.0 : static_cast<double>(importance[k]);
      const double value = values[k], lost = value - static_cast<double>(rounded[k]);
      error += weight * lost * lost;
      energy += weight * value * value;
    }
  }
  return energy > 0 ? error / energy : 0;
}

}  // namespace neuros::builder
