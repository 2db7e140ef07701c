#pragma once

#include "device/device.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace neuros::device {

/// A GPU as its driver describes it.
struct CudaDeviceInfo {
  int index = 0;
  std::string name;            ///< "NVIDIA H200"
  int compute_capability = 0;  ///< 90
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
  int64_t l2_bytes = 0;
  int64_t shared_bytes_per_multiprocessor = 0;
  int64_t shared_bytes_per_block = 0;  ///< after opting in
  std::string pci_bus_id;              ///< "0000:18:00.0"
};

/// Device::kind() of a GPU: what measured choices of kernels are kept by, "sm_90/132".
inline std::string gpu_kind(int compute_capability, int multiprocessors) {
  return "sm_" + std::to_string(compute_capability) + "/" + std::to_string(multiprocessors);
}

/// The GPUs of this machine: none where there is no driver, or in a program built without CUDA.
std::vector<CudaDeviceInfo> cuda_devices();

struct CudaDeviceOptions {
  int index = 0;
  size_t memory_bytes = 0;  ///< budget; 0: what is free
};

/// A GPU with streams that run beside each other. One arena after another is reserved at boot; none
/// is given back before the device's models are. kUnsupported in a program built without CUDA,
/// kNotFound where there is no such GPU, with the driver's reason.
base::Result<std::unique_ptr<Device>> open_cuda_device(CudaDeviceOptions options);

}  // namespace neuros::device
