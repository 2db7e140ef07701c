#include "device/measure_profile.h"

#include "device/cpu/cpu_device.h"
#include "device/cpu/cpu_rates.h"
#include "device/cuda_device.h"
#include "device/disk_rate.h"
#include "device/gpu_rates.h"
#include "device/host_memory.h"
#include "device/open_device.h"

#include <filesystem>

namespace neuros::device {
namespace {

/// L1 cache and shared memory of a multiprocessor together (CUDA C++ Programming Guide, "Compute
/// Capabilities"); the driver tells only how much of it may be shared.
int64_t l1_bytes(int compute_capability) {
  switch (compute_capability) {
    case 75:
      return 96 << 10;
    case 80:
      return 192 << 10;
    case 86:
    case 89:
      return 128 << 10;
    case 90:
      return 256 << 10;
    default:
      return 0;
  }
}

ProcessorProfile processor_of(const base::CpuFeatures& features) {
  const Topology& topology = read_topology();
  ProcessorProfile cpu;
  cpu.brand = features.brand;
  cpu.packages = topology.packages;
  cpu.numa_nodes = topology.numa_nodes;
  cpu.cores = static_cast<int32_t>(topology.core_cpus.size());
  cpu.threads = std::max(topology.threads, cpu.cores);
  cpu.memory_bytes = host_memory_bytes();
  cpu.caches = topology.caches;
  cpu.levels = features.levels();
  cpu.avx512_bf16 = features.avx512_bf16;
  return cpu;
}

GpuProfile gpu_of(const CudaDeviceInfo& info) {
  GpuProfile gpu;
  gpu.name = info.name;
  gpu.pci_bus_id = info.pci_bus_id;
  gpu.compute_capability = {info.compute_capability / 10, info.compute_capability % 10};
  gpu.multiprocessors = info.multiprocessors;
  gpu.l1_bytes_per_multiprocessor = l1_bytes(info.compute_capability);
  gpu.shared_bytes_per_multiprocessor = info.shared_bytes_per_multiprocessor;
  gpu.shared_bytes_per_block = info.shared_bytes_per_block;
  gpu.l2_bytes = info.l2_bytes;
  gpu.memory_bytes = info.memory_bytes;
  gpu.pinned_limit_bytes = pinned_limit_bytes();
  return gpu;
}

base::Result<> measure_processor(const MeasureOptions& options, ProcessorProfile& cpu) {
  auto device = TRY(open_cpu_device({.threads = options.threads, .memory_bytes = 0}));
  auto stream = TRY(device->create_stream());
  const CpuRates rates =
      TRY(measure_cpu_rates(*device, *stream, cpu.features(), options.memory_bytes));
  cpu.measured_threads = options.threads > 0 ? options.threads : cpu.cores;
  cpu.read_bytes_per_s = rates.read_bytes_per_s;
  cpu.copy_bytes_per_s = rates.copy_bytes_per_s;
  cpu.f32_flops_per_s = rates.f32_flops_per_s;
  cpu.bf16_flops_per_s = rates.bf16_flops_per_s;
  cpu.int8_ops_per_s = rates.int8_ops_per_s;
  return {};
}

base::Result<> measure_gpu(size_t index, GpuProfile& gpu) {
  auto device = TRY(open_device("cuda:" + std::to_string(index), {}));
  const GpuRates rates = TRY(measure_gpu_rates(*device));
  const MatrixRates matrix = TRY(measure_matrix_rates(*device));
  const TransferRates transfer = TRY(measure_transfer_rates(*device));
  gpu.copy_bytes_per_s = rates.copy_bytes_per_s;
  gpu.f16_flops_per_s = matrix.f16_flops_per_s;
  gpu.bf16_flops_per_s = matrix.bf16_flops_per_s;
  gpu.tf32_flops_per_s = matrix.tf32_flops_per_s;
  gpu.fp8_flops_per_s = matrix.fp8_flops_per_s;
  gpu.int8_ops_per_s = matrix.int8_ops_per_s;
  gpu.pinned_upload_bytes_per_s = transfer.pinned_upload_bytes_per_s;
  gpu.pinned_download_bytes_per_s = transfer.pinned_download_bytes_per_s;
  gpu.pageable_upload_bytes_per_s = transfer.pageable_upload_bytes_per_s;
  gpu.pageable_download_bytes_per_s = transfer.pageable_download_bytes_per_s;
  return {};
}

/// A GPU whose memory others have taken is a note.
base::Result<> measure_gpu_of(size_t index, HardwareProfile& profile) {
  auto measured = measure_gpu(index, profile.gpus[index]);
  if (measured || measured.error().kind != base::ErrorKind::kOutOfMemory) return measured;
  profile.notes.push_back("not measured: " + measured.error().message);
  return {};
}

base::Result<> measure_disk_of(const MeasureOptions& options, HardwareProfile& profile) {
  std::error_code no_path;
  const std::filesystem::path folder = std::filesystem::canonical(options.disk_folder, no_path);
  if (no_path) {
    return base::fail(options.disk_folder + ": " + no_path.message(), base::ErrorKind::kNotFound);
  }
  DiskProfile disk = describe_disk(folder.string());
  const auto rate = measure_disk(folder.string(), options.disk_bytes);
  if (rate) {
    disk.read_bytes_per_s = *rate;
  } else {
    profile.notes.push_back("disk not measured: " + rate.error().message);
  }
  profile.disks.push_back(std::move(disk));
  return {};
}

}  // namespace

base::Result<ProcessorProfile> probe_processor() {
  return processor_of(TRY(base::chosen_cpu()));
}

std::vector<GpuProfile> probe_gpus() {
  std::vector<GpuProfile> gpus;
  for (const CudaDeviceInfo& info : cuda_devices()) gpus.push_back(gpu_of(info));
  return gpus;
}

base::Result<HardwareProfile> probe_profile() {
  HardwareProfile profile;
  profile.processor = TRY(probe_processor());
  profile.gpus = probe_gpus();
  return profile;
}

base::Result<HardwareProfile> measure_profile(const MeasureOptions& options, OnMeasuring on_part) {
  on_part("processor", 0.0);
  HardwareProfile profile = TRY(probe_profile());
  const auto parts = static_cast<double>(2 + profile.gpus.size());
  TRY(measure_processor(options, *profile.processor));
  for (size_t i = 0; i < profile.gpus.size(); ++i) {
    on_part("cuda:" + std::to_string(i), static_cast<double>(1 + i) / parts);
    TRY(measure_gpu_of(i, profile));
  }
  on_part("disk", (parts - 1.0) / parts);
  if (!options.disk_folder.empty()) TRY(measure_disk_of(options, profile));
  return profile;
}

}  // namespace neuros::device
