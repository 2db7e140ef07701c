#include "builder/convert_tensor.h"

#include "base/check.h"
#include "kernels/quantise.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace neuros::builder {
namespace {

using base::DType;

constexpr int64_t kPieceElements = int64_t{1} << 20;
/// Elements a thread takes at a time.
constexpr int64_t kGrainElements = int64_t{1} << 14;

/// A tensor as rows. A vector whose elements change places counts as rows of one element.
struct Rows {
  int64_t count = 0, cols = 0;
};

Rows rows_of(const ConvertedTensor& tensor) {
  const base::TensorView& view = tensor.source;
  if (view.shape.size() == 1 && !tensor.order.keeps()) return {view.cols(), 1};
  return {view.rows(), view.cols()};
}

bool fits_ternary_only(DType dtype) {
  return base::is_quantised(dtype) && base::bits_per_element(dtype) < 2.5;
}

/// Whether the source's bytes are the target's.
bool is_copy(const ConvertedTensor& tensor) {
  return tensor.source.dtype == tensor.target.dtype && tensor.order.keeps();
}

void measure_loss(std::span<const float> values, std::span<const float> rounded,
                  RoundingLoss& loss) {
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i], error = value - static_cast<double>(rounded[i]);
    loss.squared_error += error * error;
    loss.squared_values += value * value;
  }
}

}  // namespace

TensorConverter::TensorConverter(base::ThreadPool& pool, const Importance& importance)
    : pool_(pool), importance_(importance), workers_(static_cast<size_t>(pool.size())) {}

base::Result<> TensorConverter::write(const ConvertedTensor& tensor, formats::GgufWriter& writer,
                                      const std::function<void()>& on_piece) {
  const Rows rows = rows_of(tensor);
  const auto row_bytes = static_cast<size_t>(base::bytes_of(tensor.target.dtype, rows.cols));
  const int64_t step = std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, rows.cols));
  for (int64_t first = 0; first < rows.count; first += step) {
    const int64_t count = std::min(step, rows.count - first);
    const size_t bytes = static_cast<size_t>(count) * row_bytes;
    std::span<const std::byte> piece;
    if (is_copy(tensor)) {
      piece = tensor.source.bytes.subspan(static_cast<size_t>(first) * row_bytes, bytes);
    } else {
      piece_.resize(std::max(piece_.size(), bytes));
      convert_rows(tensor, first, count);
      piece = std::span(piece_).first(bytes);
    }
    TRY(writer.append(tensor.target.name, piece));
    on_piece();
  }
  return {};
}

void TensorConverter::convert_rows(const ConvertedTensor& tensor, int64_t first, int64_t count) {
  const int64_t cols = rows_of(tensor).cols;
  const auto row_bytes = static_cast<size_t>(base::bytes_of(tensor.target.dtype, cols));
  for (Worker& worker : workers_) {
    worker.row.resize(static_cast<size_t>(cols));
    worker.rounded.resize(static_cast<size_t>(cols));
  }
  const int64_t grain = std::max<int64_t>(1, kGrainElements / cols);
  pool_.parallel_for(count, grain, [&](int64_t begin, int64_t end, int index) {
    Worker& worker = workers_[static_cast<size_t>(index)];
    for (int64_t i = begin; i < end; ++i) {
      convert_row(tensor, first + i, piece_.data() + static_cast<size_t>(i) * row_bytes, worker);
    }
  });
}

void TensorConverter::convert_row(const ConvertedTensor& tensor, int64_t row, std::byte* out,
                                  Worker& worker) {
  const DType from = tensor.source.dtype, to = tensor.target.dtype;
  const auto row_bytes =
      static_cast<size_t>(base::bytes_of(from, static_cast<int64_t>(worker.row.size())));
  const std::byte* in =
      tensor.source.bytes.data() + static_cast<size_t>(tensor.order.source_row(row)) * row_bytes;
  if (from == to) {
    std::memcpy(out, in, row_bytes);
    return;
  }
  CHECK(kernels::can_quantise(to));
  kernels::dequantise(from, in, worker.row);
  kernels::quantise(to, worker.row, importance_.of(tensor.target.name), out);
  if (!fits_ternary_only(to)) return;
  kernels::dequantise(to, out, worker.rounded);
  measure_loss(worker.row, worker.rounded, worker.loss);
}

RoundingLoss TensorConverter::ternary_loss() const {
  RoundingLoss sum;
  for (const Worker& worker : workers_) {
    sum.squared_error += worker.loss.squared_error;
    sum.squared_values += worker.loss.squared_values;
  }
  return sum;
}

}  // namespace neuros::builder
