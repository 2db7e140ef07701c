#pragma once

#include "device/device.h"

#include <cstddef>
#include <span>

namespace neuros::runtime {

/// Where weights go.
struct WeightTarget {
  device::Device& device;
  device::Stream& stream;
  std::span<std::byte> arena;  ///< of the device
};

}  // namespace neuros::runtime
