#include "device/gpu_rates.h"

#include "device/cuda/cuda_error.h"
#include "device/cuda/matrix_rate.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <cuda_runtime.h>

namespace neuros::device {
namespace {

constexpr size_t kCopyBytes = size_t{512} << 20;
constexpr size_t kUploadBytes = size_t{128} << 20;
constexpr int kMatrixRepeats = 40000;
constexpr int kRuns = 5;

struct EventDeleter {
  void operator()(CUevent_st* event) const { cudaEventDestroy(event); }
};
using Event = std::unique_ptr<CUevent_st, EventDeleter>;

base::Result<Event> make_event() {
  cudaEvent_t event = nullptr;
  TRY(cuda_result(cudaEventCreate(&event), "event"));
  return Event(event);
}

/// Seconds of the fastest of some runs of `work` on the stream, after one that does not count.
template <typename Work>
base::Result<double> best_seconds(cudaStream_t stream, Work work) {
  const Event start = TRY(make_event()), stop = TRY(make_event());
  float best_ms = 1e30f;
  for (int run = 0; run <= kRuns; ++run) {
    TRY(cuda_result(cudaEventRecord(start.get(), stream), "event"));
    TRY(cuda_result(work(), "measuring"));
    TRY(cuda_result(cudaEventRecord(stop.get(), stream), "event"));
    TRY(cuda_result(cudaEventSynchronize(stop.get()), "measuring"));
    float ms = 0.0f;
    TRY(cuda_result(cudaEventElapsedTime(&ms, start.get(), stop.get()), "event"));
    if (run > 0) best_ms = std::min(best_ms, ms);
  }
  return static_cast<double>(best_ms) * 1e-3;
}

}  // namespace

base::Result<GpuRates> measure_gpu_rates(Device& device) {
  const std::unique_ptr<Stream> stream = TRY(device.create_stream());
  auto* const native = static_cast<cudaStream_t>(stream->native_handle());
  const Buffer from = TRY(device.reserve(kCopyBytes, "a copy's source"));
  const Buffer to = TRY(device.reserve(kCopyBytes, "a copy's destination"));
  const Buffer host = TRY(device.reserve_host(kUploadBytes, "an upload's source"));
  TRY(cuda_result(cudaMemset(from.data(), 0x5a, kCopyBytes), device.name()));
  const auto copy = [&](const Buffer& source, size_t bytes) {
    return cudaMemcpyAsync(to.data(), source.data(), bytes, cudaMemcpyDefault, native);
  };
  GpuRates rates;
  const double copied = TRY(best_seconds(native, [&] { return copy(from, kCopyBytes); }));
  rates.copy_bytes_per_s = 2.0 * static_cast<double>(kCopyBytes) / copied;
  const double uploaded = TRY(best_seconds(native, [&] { return copy(host, kUploadBytes); }));
  rates.upload_bytes_per_s = static_cast<double>(kUploadBytes) / uploaded;
  double operations = 0.0;
  const double multiplied = TRY(best_seconds(native, [&] {
    operations = 0.0;
    return launch_matrix_load(kMatrixRepeats, native, operations);
  }));
  rates.bf16_flops_per_s = operations / multiplied;
  return rates;
}

}  // namespace neuros::device
