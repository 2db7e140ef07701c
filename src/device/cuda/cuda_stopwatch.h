#pragma once

#include "device/stopwatch.h"

#include <vector>

#include <cuda_runtime.h>

namespace neuros::device {

/// Events of a stream; they are made as they are needed and then used again.
class CudaStopwatch final : public Stopwatch {
 public:
  explicit CudaStopwatch(cudaStream_t stream) : stream_(stream) {}
  ~CudaStopwatch() override;
  CudaStopwatch(const CudaStopwatch&) = delete;
  CudaStopwatch& operator=(const CudaStopwatch&) = delete;

  void mark() override;
  std::vector<double> laps_us() override;

 private:
  cudaStream_t stream_;
  std::vector<cudaEvent_t> events_;
  size_t marks_ = 0;  ///< events in use
};

}  // namespace neuros::device
