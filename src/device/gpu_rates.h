#pragma once

#include "base/result.h"
#include "device/device.h"

namespace neuros::device {

/// What a GPU does at best: the roofs of benchmarks.
struct GpuRates {
  double copy_bytes_per_s = 0;    ///< device to device, bytes read and bytes written counted
  double bf16_flops_per_s = 0;    ///< matrix instructions on bf16 from shared memory, f32 sums
  double upload_bytes_per_s = 0;  ///< pinned host memory to device
};

/// Measures the GPU at `device`, which needs 1 GiB of its memory free for it; about a second.
base::Result<GpuRates> measure_gpu_rates(Device& device);

}  // namespace neuros::device
