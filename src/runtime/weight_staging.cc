#include "runtime/weight_staging.h"

#include "base/check.h"
#include "plan/plan.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

namespace neuros::runtime {
namespace {

constexpr auto kPartBytes = static_cast<size_t>(plan::kUploadPartBytes);
/// A part holds whole units of so many rows: a packed matrix of them ends where the next begins.
constexpr int64_t kUnitRows = 64;

int workers_for_packing() {
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

base::Result<WeightStaging> WeightStaging::create(device::Device& device, device::Stream& stream) {
  Parts parts;
  for (device::Buffer& part : parts) part = TRY(device.reserve_host(kPartBytes, "weight staging"));
  return WeightStaging(stream, std::move(parts));
}

WeightStaging::WeightStaging(device::Stream& stream, Parts parts)
    : stream_(&stream),
      parts_(std::move(parts)),
      workers_(std::make_unique<base::ThreadPool>(
          base::ThreadPoolOptions{.threads = workers_for_packing(), .cpus = {}, .spin_us = 20})) {}

base::Result<std::byte*> WeightStaging::next_part() {
  // The other part was handed to the stream last; what came before it must be over.
  if (next_ >= parts_.size()) TRY(stream_->synchronize());
  return parts_[next_++ % parts_.size()].data();
}

int64_t WeightStaging::rows_in_part(const kernels::LinearKernel& kernel, int64_t rows,
                                    int64_t cols) const {
  const int64_t unit = kernel.packed_bytes(kUnitRows, cols);
  const int64_t units = std::max<int64_t>(1, static_cast<int64_t>(kPartBytes) / unit);
  return std::min(rows, units * kUnitRows);
}

base::Result<> WeightStaging::pack(const kernels::LinearKernel& kernel,
                                   std::span<const std::byte> source, int64_t rows, int64_t cols,
                                   std::byte* place) {
  const int64_t row_bytes = std::ssize(source) / rows;
  const int64_t part_rows = rows_in_part(kernel, rows, cols);
  for (int64_t first = 0; first < rows; first += part_rows) {
    const int64_t count = std::min(part_rows, rows - first);
    const auto bytes = static_cast<size_t>(kernel.packed_bytes(count, cols));
    if (bytes > kPartBytes) {
      return base::fail("boot: " + std::to_string(kUnitRows) + " rows of " + std::to_string(cols) +
                        " columns do not fit the staging of " + std::to_string(kPartBytes));
    }
    std::byte* part = TRY(next_part());
    const std::byte* from = source.data() + first * row_bytes;
    workers_->parallel_for((count + kUnitRows - 1) / kUnitRows, 1,
                           [&](int64_t begin, int64_t end, int /*worker*/) {
                             const int64_t row = begin * kUnitRows;
                             kernel.pack(from + row * row_bytes, count, cols, row,
                                         std::min(end * kUnitRows, count) - row, part);
                           });
    stream_->copy(place + kernel.packed_bytes(first, cols), part, bytes);
  }
  return {};
}

base::Result<> WeightStaging::copy(std::span<const float> values, std::byte* place) {
  CHECK(values.size_bytes() <= kPartBytes, "a vector is small");
  std::byte* part = TRY(next_part());
  std::memcpy(part, values.data(), values.size_bytes());
  stream_->copy(place, part, values.size_bytes());
  return {};
}

base::Result<> WeightStaging::finish() {
  return stream_->synchronize();
}

}  // namespace neuros::runtime
