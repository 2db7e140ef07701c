#include "kernels/cuda/device_traits.h"

#include <cstdlib>
#include <string_view>

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
  const int compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                                 attribute(cudaDevAttrComputeCapabilityMinor, device);
  const char* path = std::getenv("NEUROS_CUDA_PATH");
  const bool generic = path != nullptr && std::string_view(path) == "generic";
  return {.compute_capability = compute_capability,
          .shared_bytes_max = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          .multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device),
          .wgmma = compute_capability == 90 && !generic};
}

}  // namespace neuros::kernels::cuda
