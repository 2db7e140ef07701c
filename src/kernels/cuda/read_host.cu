#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/read_host.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlocksMax = 32;  // enough requests on the bus at a time

/// The next kernel does not start before all blocks have ended, and finds what they wrote though it
/// has not waited.
__global__ void read_host_kernel(uint4* to, const uint4* pinned, int64_t count) {
  wait_for_previous();
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * kThreads) {
    to[i] = __ldcv(pinned + i);
  }
  __threadfence();
}

bool is_aligned(const std::byte* at) {
  return reinterpret_cast<uintptr_t>(at) % sizeof(uint4) == 0;
}

}  // namespace

void read_host(const OpContext& context, std::byte* to, const std::byte* pinned, int64_t bytes) {
  CHECK(bytes > 0 && is_aligned(to) && is_aligned(pinned));
  const int64_t count = (bytes + int64_t{sizeof(uint4)} - 1) / int64_t{sizeof(uint4)};
  const int64_t blocks = std::min((count + kThreads - 1) / kThreads, kBlocksMax);
  launch(context, {.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(kThreads)},
         read_host_kernel, reinterpret_cast<uint4*>(to), reinterpret_cast<const uint4*>(pinned),
         count);
}

}  // namespace neuros::kernels::cuda
