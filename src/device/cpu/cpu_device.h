#pragma once

#include "device/device.h"

#include <memory>
#include <vector>

namespace neuros::device {

struct CpuDeviceOptions {
  int threads = 0;          ///< 0: one per physical core
  size_t memory_bytes = 0;  ///< budget; 0: what the machine has available
};

/// Physical cores as hwloc sees them, limited to the processors this process may use.
/// One processor index per core, in topology order.
std::vector<int> physical_cores();

/// The host as a device. Memory comes from anonymous mappings with huge pages asked for, touched
/// at reservation, so that what a plan predicts is what the process has.
base::Result<std::unique_ptr<Device>> open_cpu_device(CpuDeviceOptions options);

}  // namespace neuros::device
