#include "device/cuda/cuda_event.h"

#include "base/check.h"
#include "device/cuda/cuda_error.h"

namespace neuros::device {

CudaEvent::~CudaEvent() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

void CudaEvent::record() {
  if (event_ == nullptr) {
    constexpr unsigned kFlags = cudaEventBlockingSync | cudaEventDisableTiming;
    CHECK(cudaEventCreateWithFlags(&event_, kFlags) == cudaSuccess);
  }
  // An error shows at the stream's next synchronize(), with its text.
  cudaEventRecord(event_, stream_);
}

base::Result<> CudaEvent::wait() {
  if (event_ == nullptr) return {};
  return cuda_result(cudaEventSynchronize(event_), "copy to the device");
}

}  // namespace neuros::device
