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

/// Dense matrix instructions with sums of 32 bits, by the type of what is multiplied. 0: the card,
/// or this program for it, has none.
struct MatrixRates {
  double f16_flops_per_s = 0, bf16_flops_per_s = 0, tf32_flops_per_s = 0;
  double fp8_flops_per_s = 0;  ///< e4m3
  double int8_ops_per_s = 0;
};

/// The fastest of several runs each.
base::Result<MatrixRates> measure_matrix_rates(Device& device);

/// Host memory to device and back.
struct TransferRates {
  double pinned_upload_bytes_per_s = 0, pinned_download_bytes_per_s = 0;
  double pageable_upload_bytes_per_s = 0, pageable_download_bytes_per_s = 0;
};

/// Medians of several copies of 128 MiB each.
base::Result<TransferRates> measure_transfer_rates(Device& device);

}  // namespace neuros::device
