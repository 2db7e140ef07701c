#include "cli/roofs.h"

#include "base/cpu_features.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/cpu_rates.h"
#include "device/gpu_rates.h"
#include "device/open_device.h"

#include <algorithm>
#include <cstdio>

namespace neuros::cli {
namespace {

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof(text), pattern, args...);
  return text;
}

/// Prefill is bound by the fastest multiplication this machine has for 16-bit or 8-bit operands.
base::Result<Roofs> measure_cpu(const plan::Plan& plan) {
  auto cpu = TRY(device::open_cpu_device({.threads = plan.workers, .memory_bytes = 0}));
  auto stream = TRY(cpu->create_stream());
  const base::CpuFeatures features = TRY(base::chosen_cpu());
  const device::CpuRates rates = TRY(device::measure_cpu_rates(*cpu, *stream, features));
  const bool quantised = std::ranges::any_of(
      plan.weights, [](const auto& weight) { return base::is_quantised(weight.dtype); });
  Roofs roofs;
  roofs.bytes_per_s = rates.read_bytes_per_s;
  roofs.operations_per_s = std::max(
      {rates.f32_flops_per_s, rates.bf16_flops_per_s, quantised ? rates.int8_ops_per_s : 0.0});
  roofs.text = format("read %.1f GB/s, f32 %.0f, bf16 %.0f GFLOP/s, int8 %.0f GOP/s",
                      rates.read_bytes_per_s / 1e9, rates.f32_flops_per_s / 1e9,
                      rates.bf16_flops_per_s / 1e9, rates.int8_ops_per_s / 1e9);
  return roofs;
}

base::Result<Roofs> measure_gpu(const plan::Plan& plan) {
  auto gpu = TRY(device::open_device(plan.device, {}));
  const device::GpuRates rates = TRY(device::measure_gpu_rates(*gpu));
  Roofs roofs;
  roofs.bytes_per_s = rates.copy_bytes_per_s;
  roofs.operations_per_s = rates.bf16_flops_per_s;
  roofs.text =
      format("copy %.0f GB/s, bf16 %.0f TFLOP/s, upload %.1f GB/s", rates.copy_bytes_per_s / 1e9,
             rates.bf16_flops_per_s / 1e12, rates.upload_bytes_per_s / 1e9);
  return roofs;
}

}  // namespace

base::Result<Roofs> measure_roofs(const plan::Plan& plan,
                                  const pipeline::BenchmarkRequest& request) {
  Roofs roofs = plan.memory.arenas_on_host ? TRY(measure_cpu(plan)) : TRY(measure_gpu(plan));
  roofs.cost = pipeline::token_cost(plan, request);
  return roofs;
}

}  // namespace neuros::cli
