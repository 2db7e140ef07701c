#include "runtime/weight_staging.h"

#include "base/check.h"
#include "plan/plan.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

namespace neuros::runtime {
namespace {

/// Holds what a part of a checkpoint (plan::kSourcePartBytes) becomes, with room for types that
/// grow.
constexpr size_t kPartBytes = size_t{16} << 20;

int workers_for_packing() {
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

base::Result<WeightStaging> WeightStaging::create(device::Device& device, device::Stream& stream) {
  UploadRing ring = TRY(UploadRing::create(device, stream, kPartBytes));
  return WeightStaging(std::move(ring));
}

WeightStaging::WeightStaging(UploadRing ring)
    : ring_(std::move(ring)),
      workers_(std::make_unique<base::ThreadPool>(
          base::ThreadPoolOptions{.threads = workers_for_packing(), .cpus = {}, .spin_us = 20})) {}

base::Result<size_t> WeightStaging::next_part() {
  const size_t part = next_++ % ring_.parts();
  TRY(ring_.wait_for(part));
  return part;
}

int64_t WeightStaging::rows_in_part(const kernels::LinearKernel& kernel, int64_t rows,
                                    int64_t cols) const {
  const int64_t unit = kernel.packed_bytes(plan::kPartRows, cols);
  const int64_t units = std::max<int64_t>(1, static_cast<int64_t>(ring_.part_bytes()) / unit);
  return std::min(rows, units * plan::kPartRows);
}

base::Result<> WeightStaging::pack(const kernels::LinearKernel& kernel,
                                   std::span<const std::byte> source, int64_t rows, int64_t cols,
                                   std::byte* place) {
  constexpr int64_t kUnit = plan::kPartRows;
  const int64_t row_bytes = std::ssize(source) / rows;
  const int64_t part_rows = rows_in_part(kernel, rows, cols);
  for (int64_t first = 0; first < rows; first += part_rows) {
    const int64_t count = std::min(part_rows, rows - first);
    const auto bytes = static_cast<size_t>(kernel.packed_bytes(count, cols));
    if (bytes > ring_.part_bytes()) {
      return base::fail("boot: " + std::to_string(kUnit) + " rows of " + std::to_string(cols) +
                        " columns do not fit the staging of " + std::to_string(ring_.part_bytes()));
    }
    const size_t part = TRY(next_part());
    std::byte* packed = ring_.part(part).data();
    const std::byte* from = source.data() + first * row_bytes;
    workers_->parallel_for((count + kUnit - 1) / kUnit, 1,
                           [&](int64_t begin, int64_t end, int /*worker*/) {
                             const int64_t row = begin * kUnit;
                             kernel.pack(from + row * row_bytes, count, cols, row,
                                         std::min(end * kUnit, count) - row, packed);
                           });
    ring_.send(part, place + kernel.packed_bytes(first, cols), bytes);
  }
  return {};
}

base::Result<> WeightStaging::copy(std::span<const float> values, std::byte* place) {
  CHECK(values.size_bytes() <= ring_.part_bytes(), "a vector is small");
  const size_t part = TRY(next_part());
  std::memcpy(ring_.part(part).data(), values.data(), values.size_bytes());
  ring_.send(part, place, values.size_bytes());
  return {};
}

base::Result<> WeightStaging::finish() {
  return ring_.stream().synchronize();
}

}  // namespace neuros::runtime
