#pragma once

#include "base/dtype.h"
#include "device/device.h"

#include <span>

namespace neuros::bench {

struct LayerOptions {
  std::span<const base::DType> types;  ///< of all weights, one after another
  int64_t tokens = 1024;
  double tflops = 0;    ///< what matrix products can reach
  double tbytes = 3.2;  ///< TB/s that device memory gives
};

/// Prints where the time of one layer of an 8B Llama goes for one prompt: each op in its place
/// between the others, the parts that can be called alone, and the whole, launch by launch and as a
/// recorded pass; in microseconds, beside the time that operations or bytes of device memory need.
void measure_layer(device::Device& device, const LayerOptions& options);

}  // namespace neuros::bench
