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

}  // namespace neuros::device
