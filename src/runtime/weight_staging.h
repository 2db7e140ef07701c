#pragma once

/// Weights on their way to a device with memory of its own.

#include "base/result.h"
#include "base/thread_pool.h"
#include "device/device.h"
#include "kernels/linear.h"
#include "runtime/upload_ring.h"

#include <cstdint>
#include <memory>
#include <span>

namespace neuros::runtime {

/// Packs weights into pinned memory by all cores and copies them to the device, a part at a time:
/// while some parts are on their way the next is packed.
class WeightStaging {
 public:
  static base::Result<WeightStaging> create(device::Device& device, device::Stream& stream);

  /// Packs rows of a matrix, given in its file's format, to `place` on the device. They are the
  /// matrix's last, or a multiple of plan::kPartRows.
  base::Result<> pack(const kernels::LinearKernel& kernel, std::span<const std::byte> source,
                      int64_t rows, int64_t cols, std::byte* place);
  /// Copies floats to `place` on the device.
  base::Result<> copy(std::span<const float> values, std::byte* place);
  /// Returns when all of it is there.
  base::Result<> finish();

 private:
  explicit WeightStaging(UploadRing ring);
  /// The part whose turn it is, free to be filled.
  base::Result<size_t> next_part();
  int64_t rows_in_part(const kernels::LinearKernel& kernel, int64_t rows, int64_t cols) const;

  UploadRing ring_;
  std::unique_ptr<base::ThreadPool> workers_;
  size_t next_ = 0;
};

}  // namespace neuros::runtime
