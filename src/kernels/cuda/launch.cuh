#pragma once

/// Launching a kernel on an op's stream.

#include "base/check.h"
#include "kernels/op_context.h"

#include <utility>

#include <cuda_runtime.h>

namespace neuros::kernels::cuda {

inline cudaStream_t stream_of(const OpContext& context) {
  return static_cast<cudaStream_t>(context.stream.native_handle());
}

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;
  unsigned cluster = 1;  ///< blocks along x that share their shared memory; Hopper
};

/// Launches with programmatic dependent launch: the kernel may start while the one before it in the
/// stream ends, and must call wait_for_previous() before it touches what that one reads or writes;
/// weights, the batch (read_host.h) and keys and values of earlier passes need no waiting.
template <typename... Parameters, typename... Arguments>
void launch(const OpContext& context, LaunchShape shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {shape.cluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream_of(context);
  config.attrs = attributes;
  config.numAttrs = shape.cluster > 1 ? 2 : 1;
  const cudaError_t error = cudaLaunchKernelEx(
      &config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

#ifdef __CUDACC__
/// Waits until the kernels before this one are done and their writes visible.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Lets the next kernel of the stream start as soon as every block has called this or ended.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/// threadIdx.x, read here and not before: what is made of it would otherwise take registers all
/// along the products before.
__device__ __forceinline__ int thread_index() {
  int index;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
  __builtin_assume(index >= 0 && index < 1024);  // divisions by powers of two are shifts
  return index;
}
#endif

}  // namespace neuros::kernels::cuda
