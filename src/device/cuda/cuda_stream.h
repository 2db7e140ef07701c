#pragma once

#include "device/device.h"

#include <map>
#include <memory>
#include <vector>

#include <cuda_runtime.h>

namespace neuros::device {

/// A CUDA stream. What run_recorded() launches becomes a graph or, where it is cut, several of
/// them; they are made behind what is launched when the key is first seen.
class CudaStream final : public Stream {
 public:
  static base::Result<std::unique_ptr<Stream>> create(int device, StreamOptions options);
  ~CudaStream() override;

  void bind_thread() override { note(cudaSetDevice(device_)); }
  base::Result<> synchronize() override;
  void copy(std::byte* to, const std::byte* from, size_t bytes) override;
  void run_recorded(uint64_t key, base::FunctionRef<void()> work) override;
  void cut_recording() override;
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
  /// Graphs one after another; none if the work could not be recorded.
  using Recording = std::vector<cudaGraphExec_t>;
  Recording record(base::FunctionRef<void()> work);
  size_t recorded_launches() const;
  void begin_part();
  void end_part();

  int device_;
  cudaStream_t stream_;
  cudaError_t first_error_ = cudaSuccess;
  std::map<uint64_t, Recording> recordings_;
  // Of the recording under way.
  bool records_ = false;
  bool failed_ = false;
  Recording parts_;
};

}  // namespace neuros::device
