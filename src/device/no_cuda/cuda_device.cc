#include "device/cuda_device.h"

namespace neuros::device {

std::vector<CudaDeviceInfo> cuda_devices() {
  return {};
}

base::Result<std::unique_ptr<Device>> open_cuda_device(CudaDeviceOptions options) {
  return base::fail(
      "cuda:" + std::to_string(options.index) + ": this program was built without CUDA",
      base::ErrorKind::kUnsupported);
}

}  // namespace neuros::device
