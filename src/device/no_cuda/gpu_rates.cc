#include "device/gpu_rates.h"

namespace neuros::device {
namespace {

tl::unexpected<base::Error> no_cuda(const Device& device) {
  return base::fail(device.name() + ": this program was built without CUDA",
                    base::ErrorKind::kUnsupported);
}

}  // namespace

base::Result<GpuRates> measure_gpu_rates(Device& device) {
  return no_cuda(device);
}
base::Result<MatrixRates> measure_matrix_rates(Device& device) {
  return no_cuda(device);
}
base::Result<TransferRates> measure_transfer_rates(Device& device) {
  return no_cuda(device);
}

}  // namespace neuros::device
