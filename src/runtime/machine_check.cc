#include "runtime/machine_check.h"

#include "device/measure_profile.h"
#include "device/open_device.h"
#include "device/profile_match.h"

namespace neuros::runtime {
namespace {

base::Result<device::ProcessorProfile> planned_processor(const plan::MachineFacts& machine) {
  device::ProcessorProfile cpu;
  cpu.cores = machine.cores;
  cpu.memory_bytes = machine.host_bytes;
  cpu.avx512_bf16 = machine.avx512_bf16;
  if (machine.cpu_level.empty()) return cpu;
  if (!device::from_text(machine.cpu_level, cpu.levels.emplace_back())) {
    return base::fail("the plan is for the instruction set " + machine.cpu_level + ", expected " +
                          std::string(device::spelling(cpu.levels.back())),
                      base::ErrorKind::kUnsupported);
  }
  return cpu;
}

base::Result<device::GpuProfile> planned_gpu(const plan::GpuFacts& facts) {
  device::GpuProfile gpu;
  gpu.name = facts.name;
  gpu.memory_bytes = facts.memory_bytes;
  gpu.pinned_limit_bytes = facts.pinned_bytes;
  if (!device::from_text(facts.compute_capability, gpu.compute_capability)) {
    return base::fail("the plan is for the compute capability " + facts.compute_capability +
                          ", expected " + std::string(device::spelling(gpu.compute_capability)),
                      base::ErrorKind::kUnsupported);
  }
  return gpu;
}

/// Of this machine what the plan's parts are compared with: its GPU is the device.
base::Result<device::HardwareProfile> machine_with(const device::Device& device, bool has_gpu) {
  device::HardwareProfile here;
  here.processor = TRY(device::probe_processor());
  if (!has_gpu) return here;
  const auto index = device::gpu_index(device.name());
  std::vector<device::GpuProfile> gpus = device::probe_gpus();
  if (index && static_cast<size_t>(*index) < gpus.size()) {
    here.gpus.push_back(std::move(gpus[static_cast<size_t>(*index)]));
  }
  return here;
}

bool counts_on_nothing(const plan::MachineFacts& machine) {
  return machine.cpu_level.empty() && !machine.avx512_bf16 && machine.cores == 0 &&
         machine.host_bytes == 0 && !machine.gpu;
}

}  // namespace

base::Result<device::HardwareProfile> planned_machine(const plan::MachineFacts& machine) {
  device::HardwareProfile planned;
  planned.processor = TRY(planned_processor(machine));
  if (machine.gpu) planned.gpus.push_back(TRY(planned_gpu(*machine.gpu)));
  return planned;
}

base::Result<> check_machine(const plan::Plan& plan, const device::Device& device) {
  if (counts_on_nothing(plan.machine)) return {};
  const device::HardwareProfile planned = TRY(planned_machine(plan.machine));
  const device::HardwareProfile here = TRY(machine_with(device, plan.machine.gpu.has_value()));
  const auto match = device::check_match(planned, here);
  if (!match) return tl::unexpected(with_context(match.error(), "boot"));
  return {};
}

}  // namespace neuros::runtime
