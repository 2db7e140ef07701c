#include "device/cuda/cuda_stream.h"

#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_event.h"
#include "device/cuda/cuda_stopwatch.h"

#include <algorithm>

namespace neuros::device {

base::Result<std::unique_ptr<Stream>> CudaStream::create(int device, StreamOptions options) {
  const std::string name = "cuda:" + std::to_string(device);
  TRY(cuda_result(cudaSetDevice(device), name));
  int lowest = 0, highest = 0;
  TRY(cuda_result(cudaDeviceGetStreamPriorityRange(&lowest, &highest), name));
  const bool is_low = options.priority == StreamOptions::Priority::kLow;
  // CUDA's default is the lowest there is; smaller numbers go first.
  const int priority = is_low ? lowest : std::max(highest, lowest - 1);
  cudaStream_t stream = nullptr;
  TRY(cuda_result(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority),
                  name + ": stream"));
  return std::unique_ptr<Stream>(new CudaStream(device, stream));
}

CudaStream::~CudaStream() {
  for (const auto& [key, graph] : graphs_) cudaGraphExecDestroy(graph);
  cudaStreamDestroy(stream_);
}

base::Result<> CudaStream::synchronize() {
  note(cudaStreamSynchronize(stream_));
  return cuda_result(first_error_, "cuda:" + std::to_string(device_));
}

void CudaStream::copy(std::byte* to, const std::byte* from, size_t bytes) {
  bind_thread();  // memory of a frame pool can only be copied to from a thread of its device
  note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_));
}

void CudaStream::run_recorded(uint64_t key, base::FunctionRef<void()> work) {
  const auto [place, is_new] = graphs_.try_emplace(key, nullptr);
  if (is_new) place->second = record(work);
  if (place->second == nullptr) return work();  // it could not be recorded
  note(cudaGraphLaunch(place->second, stream_));
}

std::unique_ptr<Stopwatch> CudaStream::create_stopwatch() {
  return std::make_unique<CudaStopwatch>(stream_);
}

std::unique_ptr<Event> CudaStream::create_event() {
  return std::make_unique<CudaEvent>(*this);
}

void CudaStream::wait_for(Event& event) {
  auto* const other = dynamic_cast<CudaEvent*>(&event);
  if (other == nullptr) return Stream::wait_for(event);
  if (other->is_recorded()) note(cudaStreamWaitEvent(stream_, other->native_handle(), 0));
}

cudaGraphExec_t CudaStream::record(base::FunctionRef<void()> work) {
  if (cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  work();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) {
    if (cudaGraphInstantiate(&executable, graph, 0) != cudaSuccess) executable = nullptr;
    cudaGraphDestroy(graph);
  }
  cudaGetLastError();
  return executable;
}

void CudaStream::note(cudaError_t error) {
  if (first_error_ == cudaSuccess) first_error_ = error;
}

}  // namespace neuros::device
