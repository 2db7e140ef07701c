#pragma once

#include "device/event.h"

#include <cuda_runtime.h>

namespace neuros::device {

class CudaStream;

/// An event of a CUDA stream; who waits for it sleeps, and is told the first error that the stream
/// had when it was given work before the point.
class CudaEvent final : public Event {
 public:
  explicit CudaEvent(CudaStream& stream) : stream_(stream) {}
  ~CudaEvent() override;
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void record() override;
  base::Result<> wait() override;
  bool is_recorded() const { return event_ != nullptr; }
  cudaEvent_t native_handle() const { return event_; }

 private:
  CudaStream& stream_;
  cudaEvent_t event_ = nullptr;  ///< null before the first record()
  cudaError_t error_ = cudaSuccess;
};

}  // namespace neuros::device
