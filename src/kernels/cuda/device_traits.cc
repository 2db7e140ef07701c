#include "kernels/cuda/device_traits.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace neuros::kernels::cuda {
namespace {

constexpr int kSharedOfSmallCards = 99 << 10;  ///< sm_86, sm_89

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
  const int shared = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return {.compute_capability = compute_capability,
          .shared_bytes_max = generic ? std::min(shared, kSharedOfSmallCards) : shared,
          .multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device),
          .wgmma = compute_capability == 90 && !generic};
}

}  // namespace neuros::kernels::cuda
