#include "device/cuda/cuda_stopwatch.h"

#include "base/check.h"

namespace neuros::device {

CudaStopwatch::~CudaStopwatch() {
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

void CudaStopwatch::mark() {
  if (marks_ == events_.size()) {
    cudaEvent_t event = nullptr;
    CHECK(cudaEventCreate(&event) == cudaSuccess);
    events_.push_back(event);
  }
  // An error shows at the stream's next synchronize(), with its text.
  cudaEventRecord(events_[marks_++], stream_);
}

std::vector<double> CudaStopwatch::laps_us() {
  std::vector<double> laps;
  for (size_t i = 1; i < marks_; ++i) {
    float ms = 0.0f;
    cudaEventElapsedTime(&ms, events_[i - 1], events_[i]);
    laps.push_back(1e3 * static_cast<double>(ms));
  }
  marks_ = 0;
  return laps;
}

}  // namespace neuros::device
