#include "pipeline/target_machine.h"

#include "builder/process_estimate.h"
#include "device/cuda_device.h"
#include "device/host_memory.h"
#include "device/measure_profile.h"
#include "device/open_device.h"
#include "pipeline/model_opening.h"

#include <algorithm>
#include <optional>

namespace neuros::pipeline {
namespace {

constexpr const char* kCpu = "cpu";

base::Result<const kernels::OpTable*> gpu_ops(const ModelOptions& options) {
  const std::string& name = options.op_table;
  const kernels::OpTable* cuda = kernels::cuda_ops();
  if (cuda != nullptr && (name.empty() || name == cuda->name)) return cuda;
  if (cuda != nullptr && name == kLlamaCppOps) return kernels::cuda_llama_cpp_ops();
  return base::fail("kernels " + name + " on " + options.device + ": expected " +
                        (cuda == nullptr ? "a program built with CUDA" : cuda->name),
                    base::ErrorKind::kUnsupported);
}

base::Result<const kernels::OpTable*> cpu_ops(const ModelOptions& options,
                                              const base::CpuFeatures& features) {
  const std::string& name = options.op_table;
  if (name == kernels::ref_ops().name) return &kernels::ref_ops();
  const kernels::OpTable& best = kernels::cpu_ops(features);
  if (name.empty() || name == best.name) return &best;
  if (name == kLlamaCppOps) return &kernels::llama_cpp_ops();
  return base::fail("kernels " + name + ": expected ref or " + best.name,
                    base::ErrorKind::kUnsupported);
}

plan::MachineFacts facts_of(const device::ProcessorProfile& cpu) {
  plan::MachineFacts facts;
  facts.cores = cpu.cores;
  facts.host_bytes = cpu.memory_bytes;
  return facts;
}

plan::GpuFacts facts_of(const device::GpuProfile& gpu) {
  return {.name = gpu.name,
          .compute_capability = device::to_text(gpu.compute_capability),
          .memory_bytes = gpu.memory_bytes,
          .pinned_bytes = gpu.pinned_limit_bytes};
}

/// As measured, or published.
plan::OnloadRates rates_of(const device::HardwareProfile& profile,
                           const std::optional<device::GpuProfile>& gpu) {
  plan::OnloadRates rates{};
  const auto rate = [&](plan::Home home) -> double& { return rates[static_cast<size_t>(home)]; };
  if (gpu) {
    rate(plan::Home::kPinned) = gpu->pinned_upload_bytes_per_s;
    rate(plan::Home::kPageable) = gpu->pageable_upload_bytes_per_s;
  } else if (profile.processor) {
    rate(plan::Home::kPageable) = profile.processor->copy_bytes_per_s;
  }
  for (const device::DiskProfile& disk : profile.disks) {
    double& known = rate(plan::Home::kDisk);
    known = std::max(known, disk.read_bytes_per_s);
  }
  return rates;
}

/// Everything but the budget. `gpu`: the one the device names, if it names one.
base::Result<TargetMachine> target(const ModelOptions& options, const device::ProcessorProfile& cpu,
                                   const std::optional<device::GpuProfile>& gpu) {
  TargetMachine machine;
  machine.workers = options.threads > 0 ? options.threads : cpu.cores;
  machine.facts = facts_of(cpu);
  if (gpu) {
    machine.ops = TRY(gpu_ops(options));
    machine.facts.gpu = facts_of(*gpu);
    return machine;
  }
  machine.ops = TRY(cpu_ops(options, cpu.features()));
  const bool any_level =
      machine.ops == &kernels::ref_ops() || machine.ops == &kernels::llama_cpp_ops();
  if (!any_level) {
    machine.facts.cpu_level = device::to_text(cpu.features().level);
    machine.facts.avx512_bf16 = cpu.features().avx512_bf16;
  }
  return machine;
}

base::Result<device::GpuProfile> gpu_of(const std::vector<device::GpuProfile>& gpus, int index) {
  if (static_cast<size_t>(index) < gpus.size()) return gpus[static_cast<size_t>(index)];
  return base::fail("cuda:" + std::to_string(index) + ": the machine has " +
                        std::to_string(gpus.size()) + " GPUs",
                    base::ErrorKind::kNotFound);
}

/// Of a machine at rest: its driver and system keep the rest.
int64_t free_bytes(const device::GpuProfile& gpu) {
  constexpr int64_t kDriverBytes = int64_t{768} << 20;
  return std::max<int64_t>(0, gpu.memory_bytes - std::max(kDriverBytes, gpu.memory_bytes / 25));
}
int64_t free_bytes(const device::ProcessorProfile& cpu) {
  return cpu.memory_bytes / 8 * 7;
}

/// For arenas, of what a process may take: on a GPU its driver takes a part.
int64_t for_arenas(int64_t bytes, bool is_gpu) {
  return is_gpu ? std::max<int64_t>(0, bytes - builder::gpu_driver_bytes()) : bytes;
}

base::Result<int64_t> budget(const ModelOptions& options, int64_t free, int64_t all) {
  if (options.memory_bytes == 0) return free;
  const auto asked = static_cast<int64_t>(options.memory_bytes);
  if (asked <= all) return asked;
  return base::fail("memory " + std::to_string(asked >> 20) + " MiB: the profile's " +
                        options.device + " has " + std::to_string(all >> 20) + " MiB",
                    base::ErrorKind::kOutOfMemory);
}

base::Result<TargetMachine> this_machine(const ModelOptions& options,
                                         const device::Device& device) {
  const device::ProcessorProfile cpu = TRY(device::probe_processor());
  std::optional<device::GpuProfile> gpu;
  if (options.device != kCpu) {
    const int index = TRY(device::gpu_index(device.name()));
    gpu = TRY(gpu_of(device::probe_gpus(), index));
  }
  TargetMachine machine = TRY(target(options, cpu, gpu));
  machine.device = device.name();
  machine.device_kind = device.kind();
  const auto most = static_cast<int64_t>(device.memory_bytes());
  const auto asked = static_cast<int64_t>(options.memory_bytes);
  machine.memory_bytes = asked > 0 ? std::min(most, for_arenas(asked, gpu.has_value())) : most;
  machine.host_free_bytes = device::host_available_bytes();
  return machine;
}

base::Result<TargetMachine> profiled_machine(const ModelOptions& options,
                                             const device::HardwareProfile& profile) {
  const device::ProcessorProfile cpu =
      profile.processor ? *profile.processor : TRY(device::probe_processor());
  if (options.device == kCpu) {
    TargetMachine machine = TRY(target(options, cpu, std::nullopt));
    machine.device = kCpu;
    machine.onload = rates_of(profile, std::nullopt);
    machine.memory_bytes = TRY(budget(options, free_bytes(cpu), cpu.memory_bytes));
    return machine;
  }
  const int index = TRY(device::gpu_index(options.device));
  const device::GpuProfile gpu = TRY(gpu_of(profile.gpus, index));
  TargetMachine machine = TRY(target(options, cpu, gpu));
  machine.device = "cuda:" + std::to_string(index);
  machine.onload = rates_of(profile, gpu);
  const auto [major, minor] = gpu.compute_capability;
  machine.device_kind = device::gpu_kind(10 * major + minor, gpu.multiprocessors);
  machine.memory_bytes = TRY(budget(options, free_bytes(gpu), gpu.memory_bytes));
  if (options.memory_bytes > 0) machine.memory_bytes = for_arenas(machine.memory_bytes, true);
  machine.host_free_bytes = free_bytes(cpu);
  return machine;
}

}  // namespace

base::Result<TargetMachine> target_machine(const ModelOptions& options) {
  if (options.planned_for) return profiled_machine(options, *options.planned_for);
  const auto device = TRY(open_device(options));
  return this_machine(options, *device);
}

base::Result<TargetMachine> target_machine(const ModelOptions& options,
                                           const device::Device& device) {
  if (options.planned_for) return profiled_machine(options, *options.planned_for);
  return this_machine(options, device);
}

}  // namespace neuros::pipeline
