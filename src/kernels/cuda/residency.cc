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

int Residency::blocks(const void* kernel, int threads, int shared_bytes) {
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
  int each = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads,
                                                      static_cast<size_t>(shared_bytes)));
  CHECK(each > 0, "a block asks for more than a multiprocessor has");
  const auto blocks = static_cast<uint64_t>(each * device_traits().multiprocessors);
  last.store(static_cast<uint64_t>(shared_bytes) << 32 | blocks, std::memory_order_relaxed);
  return static_cast<int>(blocks);
}

}  // namespace neuros::kernels::cuda
