#pragma once

/// What launches need to know of the current GPU.

#include "base/check.h"

#include <cuda_runtime.h>

namespace neuros::kernels::cuda {

struct DeviceTraits {
  int compute_capability = 0;  ///< 90
  int shared_bytes_max = 0;    ///< of one block; of a small card if NEUROS_CUDA_PATH is "generic"
  int multiprocessors = 0;
  bool wgmma = false;  ///< Hopper's matrix instructions; not if NEUROS_CUDA_PATH is "generic"
};

/// Of the calling thread's device.
DeviceTraits device_traits();

/// Lets a kernel have `bytes` of dynamic shared memory, at most DeviceTraits::shared_bytes_max.
template <typename... Parameters>
void allow_shared(void (*kernel)(Parameters...), int bytes) {
  constexpr int kFree = 48 << 10;  // what every kernel may have
  if (bytes <= kFree) return;
  const cudaError_t error = cudaFuncSetAttribute(
      reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

}  // namespace neuros::kernels::cuda
