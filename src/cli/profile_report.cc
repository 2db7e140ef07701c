#include "cli/profile_report.h"

#include "device/profile_json.h"
#include "kernels/op_table.h"

#include <cstdarg>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string line(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

std::string line(const char* pattern, ...) {
  char text[512];
  va_list args;
  va_start(args, pattern);
  std::vsnprintf(text, sizeof text, pattern, args);
  va_end(args);
  return std::string(text) + "\n";
}

double mib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

/// One measured rate; nothing where there is none.
std::string rate(const char* what, double per_s, double unit, const char* unit_name) {
  if (per_s <= 0) return "";
  return line("  %-20s %10.2f %s", what, per_s / unit, unit_name);
}

std::string describe_caches(const std::vector<device::CacheLevel>& caches) {
  std::string text;
  for (const device::CacheLevel& cache : caches) {
    text += (text.empty() ? "" : ", ") + std::string("L") + std::to_string(cache.level) + " " +
            std::to_string(cache.count) + " x " + std::to_string(cache.bytes >> 10) + " KiB";
  }
  return text;
}

std::string describe_levels(const device::ProcessorProfile& cpu) {
  std::string text;
  for (const base::CpuLevel level : cpu.levels) text += device::to_text(level) + " ";
  if (cpu.avx512_bf16) text += "+bf16 ";
  return text + " (NEUROS_CPU caps them; kernels " + kernels::cpu_ops(cpu.features()).name + ")";
}

std::string report(const device::ProcessorProfile& cpu) {
  std::string text = line("processor   %s", cpu.brand.c_str());
  text += line("topology    %d package(s), %d NUMA node(s), %d cores, %d threads, %.0f MiB",
               cpu.packages, cpu.numa_nodes, cpu.cores, cpu.threads, mib(cpu.memory_bytes));
  text += line("caches      %s", describe_caches(cpu.caches).c_str());
  text += line("levels      %s", describe_levels(cpu).c_str());
  text += line("measured    with %d threads", cpu.measured_threads);
  text += rate("read", cpu.read_bytes_per_s, 1e9, "GB/s");
  text += rate("copy", cpu.copy_bytes_per_s, 1e9, "GB/s (read plus written)");
  text += rate("f32", cpu.f32_flops_per_s, 1e9, "GFLOP/s");
  text += rate("bf16", cpu.bf16_flops_per_s, 1e9, "GFLOP/s");
  text += rate("int8", cpu.int8_ops_per_s, 1e9, "GOP/s");
  return text;
}

std::string report(const device::DiskProfile& disk) {
  const std::string mounted =
      disk.device.empty() ? "" : " on " + disk.device + " (" + disk.file_system + ")";
  return line("disk        %s%s", disk.path.c_str(), mounted.c_str()) +
         rate("read", disk.read_bytes_per_s, 1e9, "GB/s (one file, past the page cache)");
}

std::string report_rates(const device::GpuProfile& gpu) {
  std::string text = rate("copy", gpu.copy_bytes_per_s, 1e9, "GB/s (read plus written)");
  text += rate("f16", gpu.f16_flops_per_s, 1e12, "TFLOP/s");
  text += rate("bf16", gpu.bf16_flops_per_s, 1e12, "TFLOP/s");
  text += rate("tf32", gpu.tf32_flops_per_s, 1e12, "TFLOP/s");
  text += rate("fp8", gpu.fp8_flops_per_s, 1e12, "TFLOP/s");
  text += rate("int8", gpu.int8_ops_per_s, 1e12, "TOP/s");
  text += rate("pinned upload", gpu.pinned_upload_bytes_per_s, 1e9, "GB/s");
  text += rate("pinned download", gpu.pinned_download_bytes_per_s, 1e9, "GB/s");
  text += rate("pageable upload", gpu.pageable_upload_bytes_per_s, 1e9, "GB/s");
  text += rate("pageable download", gpu.pageable_download_bytes_per_s, 1e9, "GB/s");
  return text;
}

std::string report(size_t index, const device::GpuProfile& gpu) {
  std::string text = line("cuda:%-6zu %s, compute capability %s, %d multiprocessors, %s", index,
                          gpu.name.c_str(), device::to_text(gpu.compute_capability).c_str(),
                          gpu.multiprocessors, gpu.pci_bus_id.c_str());
  text += line("memory      %.0f MiB, L2 %.1f MiB, pinned host memory up to %.0f MiB",
               mib(gpu.memory_bytes), mib(gpu.l2_bytes), mib(gpu.pinned_limit_bytes));
  text += line("on each     L1 %lld KiB, of which shared %lld KiB, of a block %lld KiB",
               static_cast<long long>(gpu.l1_bytes_per_multiprocessor >> 10),
               static_cast<long long>(gpu.shared_bytes_per_multiprocessor >> 10),
               static_cast<long long>(gpu.shared_bytes_per_block >> 10));
  return text + report_rates(gpu);
}

}  // namespace

std::string profile_report(const device::HardwareProfile& profile) {
  std::string text;
  if (profile.processor) text += report(*profile.processor);
  for (size_t i = 0; i < profile.gpus.size(); ++i) text += report(i, profile.gpus[i]);
  for (const device::DiskProfile& disk : profile.disks) text += report(disk);
  for (const std::string& note : profile.notes) text += line("note        %s", note.c_str());
  return text;
}

std::string profile_report_json(const device::HardwareProfile& profile) {
  Json json = device::profile_json(profile);
  if (profile.processor) {
    json["processor"]["kernels"] = kernels::cpu_ops(profile.processor->features()).name;
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace neuros::cli
