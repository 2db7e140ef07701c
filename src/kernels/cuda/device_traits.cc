#include "kernels/cuda/device_traits.h"

namespace neuros::kernels::cuda {
namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  const cudaError_t error = cudaDeviceGetAttribute(&value, which, device);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  return value;
}

}  // namespace

DeviceTraits device_traits() {
  int device = 0;
  const cudaError_t error = cudaGetDevice(&device);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  return {.compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                                attribute(cudaDevAttrComputeCapabilityMinor, device),
          .shared_bytes_max = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          .multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device)};
}

}  // namespace neuros::kernels::cuda
