#pragma once

#include "device/event.h"

#include <cuda_runtime.h>

namespace neuros::device {

/// An event of a CUDA stream; who waits for it sleeps.
class CudaEvent final : public Event {
 public:
  explicit CudaEvent(cudaStream_t stream) : stream_(stream) {}
  ~CudaEvent() override;
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void record() override;
  base::Result<> wait() override;
  bool is_recorded() const { return event_ != nullptr; }
  cudaEvent_t native_handle() const { return event_; }

 private:
  cudaStream_t stream_;
  cudaEvent_t event_ = nullptr;  ///< null before the first record()
};

}  // namespace neuros::device
