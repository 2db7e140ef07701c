#pragma once

#include "base/cpu_features.h"
#include "base/result.h"
#include "device/device.h"

#include <string>

namespace neuros::device {

/// What the host's cores can do at best, measured with all workers of a stream. The roofs that
/// benchmarks are printed against. 0: this processor has no such instruction at its level.
struct CpuRates {
  double read_bytes_per_s = 0;  ///< streaming loads from memory
  double copy_bytes_per_s = 0;  ///< bytes read plus bytes written
  double f32_flops_per_s = 0;   ///< fused multiply-adds, two operations each
  double bf16_flops_per_s = 0;  ///< vdpbf16ps, or AMX tiles where there are any
  double int8_ops_per_s = 0;    ///< vpdpbusd, or AMX tiles where there are any
};

/// Takes about a second. Bandwidths are the best of several passes over `buffer_bytes`, which
/// should be far more than the last-level cache.
base::Result<CpuRates> measure_cpu_rates(Device& device, Stream& stream,
                                         const base::CpuFeatures& features,
                                         size_t buffer_bytes = size_t{512} << 20);

}  // namespace neuros::device
