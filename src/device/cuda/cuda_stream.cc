#include "device/cuda/cuda_stream.h"

#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_event.h"
#include "device/cuda/cuda_stopwatch.h"

#include <algorithm>
#include <utility>

namespace neuros::device {
namespace {

void destroy(const std::vector<cudaGraphExec_t>& parts) {
  for (const cudaGraphExec_t part : parts) cudaGraphExecDestroy(part);
}

}  // namespace

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
  for (const auto& [key, recording] : recordings_) destroy(recording);
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
  const auto [place, is_new] = recordings_.try_emplace(key);
  for (const cudaGraphExec_t part : place->second) note(cudaGraphLaunch(part, stream_));
  if (!place->second.empty()) return;
  work();
  if (is_new) place->second = record(work);  // takes milliseconds, which the device is busy for
}

void CudaStream::cut_recording() {
  constexpr size_t kWorthIt = 8;  // launches: fewer are done before the rest has come
  if (!records_ || recorded_launches() < kWorthIt) return;
  end_part();
  begin_part();
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

CudaStream::Recording CudaStream::record(base::FunctionRef<void()> work) {
  failed_ = false;
  begin_part();
  if (records_) work();
  end_part();
  Recording recording = std::exchange(parts_, {});
  if (!failed_) return recording;
  destroy(recording);
  return {};
}

/// Where it fails, what comes next is not recorded but done, once more.
void CudaStream::begin_part() {
  records_ = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) == cudaSuccess;
  failed_ |= !records_;
  cudaGetLastError();
}

size_t CudaStream::recorded_launches() const {
  cudaStreamCaptureStatus status{};
  cudaGraph_t graph = nullptr;
  size_t nodes = 0;
  const bool known = cudaStreamGetCaptureInfo(stream_, &status, nullptr, &graph, nullptr, nullptr,
                                              nullptr) == cudaSuccess &&
                     graph != nullptr && cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess;
  cudaGetLastError();
  return known ? nodes : 0;
}

void CudaStream::end_part() {
  if (!std::exchange(records_, false)) return;
  cudaGraph_t graph = nullptr;
  size_t nodes = 0;
  bool done = cudaStreamEndCapture(stream_, &graph) == cudaSuccess &&
              cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess;
  if (done && nodes > 0) {
    cudaGraphExec_t part = nullptr;
    done = cudaGraphInstantiate(&part, graph, 0) == cudaSuccess;
    if (done) parts_.push_back(part);
  }
  if (graph != nullptr) cudaGraphDestroy(graph);
  failed_ |= !done;
  cudaGetLastError();
}

void CudaStream::note(cudaError_t error) {
  if (first_error_ == cudaSuccess) first_error_ = error;
}

}  // namespace neuros::device
