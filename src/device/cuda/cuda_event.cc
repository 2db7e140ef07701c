#include "device/cuda/cuda_event.h"

#include "base/check.h"
#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_stream.h"

namespace neuros::device {

CudaEvent::~CudaEvent() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

void CudaEvent::record() {
  if (event_ == nullptr) {
    cudaSetDevice(stream_.device());  // an event is of the device of the thread that makes it
    constexpr unsigned kFlags = cudaEventBlockingSync | cudaEventDisableTiming;
    CHECK(cudaEventCreateWithFlags(&event_, kFlags) == cudaSuccess);
  }
  error_ = stream_.first_error();
  const cudaError_t recorded =
      cudaEventRecord(event_, static_cast<cudaStream_t>(stream_.native_handle()));
  if (error_ == cudaSuccess) error_ = recorded;
}

base::Result<> CudaEvent::wait() {
  if (event_ == nullptr) return {};
  const cudaError_t waited = cudaEventSynchronize(event_);
  return cuda_result(waited != cudaSuccess ? waited : error_, "copy to the device");
}

}  // namespace neuros::device
