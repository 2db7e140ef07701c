#include "runtime/row_quantiser.h"

#include "kernels/quantise.h"

#include <algorithm>
#include <thread>

namespace neuros::runtime {
namespace {

/// Elements a thread takes at a time.
constexpr int64_t kGrainElements = int64_t{1} << 14;

}  // namespace

std::span<const std::byte> RowQuantiser::convert(const plan::WeightPlacement& weight,
                                                 std::span<const std::byte> source, int64_t rows) {
  if (!weight.is_quantised_at_boot()) return source;
  const auto in_bytes = static_cast<size_t>(base::bytes_of(weight.file_dtype, weight.cols));
  const auto out_bytes = static_cast<size_t>(base::bytes_of(weight.dtype, weight.cols));
  quantised_.resize(static_cast<size_t>(rows) * out_bytes);
  base::ThreadPool& pool = workers();
  values_.resize(static_cast<size_t>(pool.size()));
  for (std::vector<float>& row : values_) row.resize(static_cast<size_t>(weight.cols));
  const int64_t grain = std::max<int64_t>(1, kGrainElements / weight.cols);
  pool.parallel_for(rows, grain, [&](int64_t begin, int64_t end, int worker) {
    std::vector<float>& row = values_[static_cast<size_t>(worker)];
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      kernels::dequantise(weight.file_dtype, source.data() + i * in_bytes, row);
      kernels::quantise(weight.dtype, row, {}, quantised_.data() + i * out_bytes);
    }
  });
  return quantised_;
}

base::ThreadPool& RowQuantiser::workers() {
  if (workers_ != nullptr) return *workers_;
  if (own_workers_ == nullptr) {
    const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    own_workers_ = std::make_unique<base::ThreadPool>(
        base::ThreadPoolOptions{.threads = threads, .cpus = {}, .spin_us = 20});
  }
  return *own_workers_;
}

}  // namespace neuros::runtime
