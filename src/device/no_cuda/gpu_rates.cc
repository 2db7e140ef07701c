#include "device/gpu_rates.h"

namespace neuros::device {

base::Result<GpuRates> measure_gpu_rates(Device& device) {
  return base::fail(device.name() + ": this program was built without CUDA",
                    base::ErrorKind::kUnsupported);
}

}  // namespace neuros::device
