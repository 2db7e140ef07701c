#pragma once

#include "device/device.h"

#include <memory>
#include <string>

namespace neuros::device {

struct DeviceOptions {
  int threads = 0;          ///< of the CPU; 0: one per physical core
  size_t memory_bytes = 0;  ///< budget; 0: what is free
};

/// "cpu", "cuda" (the first GPU) or "cuda:1".
base::Result<std::unique_ptr<Device>> open_device(const std::string& name, DeviceOptions options);

/// Which GPU a device's name means: "cuda:1" is 1. kUnsupported for another name.
base::Result<int> gpu_index(const std::string& name);

}  // namespace neuros::device
