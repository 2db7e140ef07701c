#pragma once

#include "device/device.h"

#include <map>
#include <memory>

#include <cuda_runtime.h>

namespace neuros::device {

/// A CUDA stream. What run_recorded() launches becomes a graph, one for each key, made when the key
/// is first seen.
class CudaStream final : public Stream {
 public:
  static base::Result<std::unique_ptr<Stream>> create(int device, StreamOptions options);
  ~CudaStream() override;

  void bind_thread() override { note(cudaSetDevice(device_)); }
  base::Result<> synchronize() override;
  void copy(std::byte* to, const std::byte* from, size_t bytes) override;
  void run_recorded(uint64_t key, base::FunctionRef<void()> work) override;
  std::unique_ptr<Stopwatch> create_stopwatch() override;
  std::unique_ptr<Event> create_event() override;
  void wait_for(Event& event) override;
  void* native_handle() override { return stream_; }
  int device() const { return device_; }
  /// Of those that giving it work had; of the thread that gives it.
  cudaError_t first_error() const { return first_error_; }

 private:
  CudaStream(int device, cudaStream_t stream) : device_(device), stream_(stream) {}
  void note(cudaError_t error);
  cudaGraphExec_t record(base::FunctionRef<void()> work);

  int device_;
  cudaStream_t stream_;
  cudaError_t first_error_ = cudaSuccess;
  std::map<uint64_t, cudaGraphExec_t> graphs_;
};

}  // namespace neuros::device
