#include "kernels/cuda/residency.h"

#include "base/check.h"
#include "kernels/cuda/device_traits.h"

#include <algorithm>

#include <cuda_runtime.h>

namespace neuros::kernels::cuda {
namespace {

void check(cudaError_t error) {
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device));
  return device;
}

/// Loading a kernel may need calls that a stream being recorded forbids.
class Unrecorded {
 public:
  Unrecorded() { check(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  ~Unrecorded() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  Unrecorded(const Unrecorded&) = delete;
  Unrecorded& operator=(const Unrecorded&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

template <typename Count>
int Residency::remembered(const void* kernel, int shared_bytes, Count count) {
  std::atomic<uint64_t>& last = last_.at(static_cast<size_t>(current_device()));
  const uint64_t known = last.load(std::memory_order_relaxed);
  if (known != 0 && known >> 32 == static_cast<uint64_t>(shared_bytes)) {
    return static_cast<int>(known & 0xffffffffu);
  }
  const Unrecorded unrecorded;
  // Never lowered: another thread may be about to launch with more.
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel));
  const int most = std::max(attributes.maxDynamicSharedSizeBytes, shared_bytes);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
  const int answer = count();
  CHECK(answer > 0, "a block asks for more than a multiprocessor has");
  last.store(static_cast<uint64_t>(shared_bytes) << 32 | static_cast<uint64_t>(answer),
             std::memory_order_relaxed);
  return answer;
}

int Residency::blocks(const void* kernel, int threads, int shared_bytes) {
  return remembered(kernel, shared_bytes, [&] {
    int each = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads,
                                                        static_cast<size_t>(shared_bytes)));
    return each * device_traits().multiprocessors;
  });
}

int Residency::clusters(const void* kernel, int threads, int shared_bytes, unsigned cluster) {
  return remembered(kernel, shared_bytes, [&] {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(cluster);
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
    config.attrs = &attribute;
    config.numAttrs = 1;
    int clusters = 0;
    check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
    return clusters;
  });
}

}  // namespace neuros::kernels::cuda
