#include "device/gpu_rates.h"

#include "device/cuda/cuda_error.h"
#include "device/cuda/matrix_rate.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include <cuda_runtime.h>

namespace neuros::device {
namespace {

constexpr size_t kCopyBytes = size_t{512} << 20;
constexpr size_t kTransferBytes = size_t{128} << 20;
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

cudaStream_t native(Stream& stream) {
  return static_cast<cudaStream_t>(stream.native_handle());
}

base::Result<double> matrix_rate(MatrixType type, Stream& stream) {
  double operations = 0.0;
  const double seconds = TRY(best_seconds(native(stream), [&] {
    operations = 0.0;
    return launch_matrix_load(type, kMatrixRepeats, native(stream), operations);
  }));
  return operations / seconds;
}

/// As a program sees it: pageable memory passes through the host's hands before it is copied.
base::Result<double> transfer_rate(Stream& stream, std::byte* to, const std::byte* from) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (int run = 0; run <= kRuns; ++run) {
    const auto start = Clock::now();
    stream.copy(to, from, kTransferBytes);
    TRY(stream.synchronize());
    if (run > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::ranges::sort(seconds);
  return static_cast<double>(kTransferBytes) / seconds[seconds.size() / 2];
}

base::Result<int> compute_capability() {
  int device = 0, major = 0, minor = 0;
  TRY(cuda_result(cudaGetDevice(&device), "device"));
  TRY(cuda_result(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
                  "compute capability"));
  TRY(cuda_result(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
                  "compute capability"));
  return 10 * major + minor;
}

}  // namespace

base::Result<GpuRates> measure_gpu_rates(Device& device) {
  const std::unique_ptr<Stream> stream = TRY(device.create_stream());
  const Buffer from = TRY(device.reserve(kCopyBytes, "a copy's source"));
  const Buffer to = TRY(device.reserve(kCopyBytes, "a copy's destination"));
  const Buffer host = TRY(device.reserve_host(kTransferBytes, "an upload's source"));
  TRY(cuda_result(cudaMemset(from.data(), 0x5a, kCopyBytes), device.name()));
  const auto copy = [&](const Buffer& source, size_t bytes) {
    return cudaMemcpyAsync(to.data(), source.data(), bytes, cudaMemcpyDefault, native(*stream));
  };
  GpuRates rates;
  const double copied = TRY(best_seconds(native(*stream), [&] { return copy(from, kCopyBytes); }));
  rates.copy_bytes_per_s = 2.0 * static_cast<double>(kCopyBytes) / copied;
  const double uploaded =
      TRY(best_seconds(native(*stream), [&] { return copy(host, kTransferBytes); }));
  rates.upload_bytes_per_s = static_cast<double>(kTransferBytes) / uploaded;
  rates.bf16_flops_per_s = TRY(matrix_rate(MatrixType::kBF16, *stream));
  return rates;
}

base::Result<MatrixRates> measure_matrix_rates(Device& device) {
  struct Row {
    MatrixType type;
    double MatrixRates::*rate;
  };
  constexpr Row kRows[]{{MatrixType::kF16, &MatrixRates::f16_flops_per_s},
                        {MatrixType::kBF16, &MatrixRates::bf16_flops_per_s},
                        {MatrixType::kTF32, &MatrixRates::tf32_flops_per_s},
                        {MatrixType::kFP8, &MatrixRates::fp8_flops_per_s},
                        {MatrixType::kInt8, &MatrixRates::int8_ops_per_s}};
  const std::unique_ptr<Stream> stream = TRY(device.create_stream());
  const int capability = TRY(compute_capability());
  MatrixRates rates;
  for (const Row& row : kRows) {
    if (has_matrix_type(row.type, capability))
      rates.*row.rate = TRY(matrix_rate(row.type, *stream));
  }
  return rates;
}

base::Result<TransferRates> measure_transfer_rates(Device& device) {
  const std::unique_ptr<Stream> stream = TRY(device.create_stream());
  const Buffer there = TRY(device.reserve(kTransferBytes, "transfers"));
  const Buffer pinned = TRY(device.reserve_host(kTransferBytes, "transfers"));
  std::vector<std::byte> pageable(kTransferBytes, std::byte{0x5a});
  TransferRates rates;
  rates.pinned_upload_bytes_per_s = TRY(transfer_rate(*stream, there.data(), pinned.data()));
  rates.pinned_download_bytes_per_s = TRY(transfer_rate(*stream, pinned.data(), there.data()));
  rates.pageable_upload_bytes_per_s = TRY(transfer_rate(*stream, there.data(), pageable.data()));
  rates.pageable_download_bytes_per_s = TRY(transfer_rate(*stream, pageable.data(), there.data()));
  return rates;
}

}  // namespace neuros::device
