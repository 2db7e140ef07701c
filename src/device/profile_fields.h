#pragma once

/// Every key of a hardware profile, in the order it is written, for whatever visits them: the JSON
/// (and with it YAML) writer and the YAML reader. A new fact is a field of hardware_profile.h, a
/// line here and a row in docs/formats/hardware-profile.md.
///
/// A visitor has, each with a key and where the value is:
///   text, texts, flag, rate     as they are
///   whole                       an integer from `least` to `most`
///   named, named_list           what to_text and from_text spell
///   maps, map                   a list of structs, and an optional one, of keys of their own

#include "device/hardware_profile.h"

namespace neuros::device {

/// Whether a key must be there. What may be left out is not written where it is zero or empty.
enum class Presence { kNeeded, kOptional };

struct WholeRange {
  int64_t least = 0, most = 0;
  Presence presence = Presence::kOptional;
};

inline constexpr size_t kTextBytesMax = 1024;
inline constexpr size_t kEntriesMax = 64, kCachesMax = 16;
inline constexpr int64_t kBytesMost = int64_t{1} << 50;

template <typename Visitor>
void visit_fields(Visitor& v, CacheLevel& cache) {
  v.whole("level", cache.level, {1, 4, Presence::kNeeded});
  v.whole("bytes", cache.bytes, {1, kBytesMost, Presence::kNeeded});
  v.whole("count", cache.count, {1, 1 << 20, Presence::kNeeded});
}

template <typename Visitor>
void visit_fields(Visitor& v, ProcessorProfile& cpu) {
  v.text("brand", cpu.brand, Presence::kNeeded);
  v.whole("packages", cpu.packages, {1, 1 << 10});
  v.whole("numa_nodes", cpu.numa_nodes, {1, 1 << 10});
  v.whole("cores", cpu.cores, {1, 1 << 16, Presence::kNeeded});
  v.whole("threads", cpu.threads, {1, 1 << 20, Presence::kNeeded});
  v.whole("memory_bytes", cpu.memory_bytes, {1, kBytesMost, Presence::kNeeded});
  v.maps("caches", cpu.caches, kCachesMax);
  v.named_list("levels", cpu.levels, Presence::kNeeded);
  v.flag("avx512_bf16", cpu.avx512_bf16);
  v.whole("measured_threads", cpu.measured_threads, {1, 1 << 20});
  v.rate("read_bytes_per_s", cpu.read_bytes_per_s);
  v.rate("copy_bytes_per_s", cpu.copy_bytes_per_s);
  v.rate("f32_flops_per_s", cpu.f32_flops_per_s);
  v.rate("bf16_flops_per_s", cpu.bf16_flops_per_s);
  v.rate("int8_ops_per_s", cpu.int8_ops_per_s);
}

template <typename Visitor>
void visit_fields(Visitor& v, DiskProfile& disk) {
  v.text("path", disk.path, Presence::kNeeded);
  v.text("device", disk.device, Presence::kOptional);
  v.text("file_system", disk.file_system, Presence::kOptional);
  v.rate("read_bytes_per_s", disk.read_bytes_per_s);
}

template <typename Visitor>
void visit_fields(Visitor& v, GpuProfile& gpu) {
  v.text("name", gpu.name, Presence::kNeeded);
  v.text("pci_bus_id", gpu.pci_bus_id, Presence::kOptional);
  v.named("compute_capability", gpu.compute_capability);
  v.whole("multiprocessors", gpu.multiprocessors, {1, 1 << 12, Presence::kNeeded});
  v.whole("l1_bytes_per_multiprocessor", gpu.l1_bytes_per_multiprocessor, {1, 1 << 30});
  v.whole("shared_bytes_per_multiprocessor", gpu.shared_bytes_per_multiprocessor, {1, 1 << 30});
  v.whole("shared_bytes_per_block", gpu.shared_bytes_per_block, {1, 1 << 30});
  v.whole("l2_bytes", gpu.l2_bytes, {1, kBytesMost});
  v.whole("memory_bytes", gpu.memory_bytes, {1, kBytesMost, Presence::kNeeded});
  v.whole("pinned_limit_bytes", gpu.pinned_limit_bytes, {1, kBytesMost});
  v.rate("copy_bytes_per_s", gpu.copy_bytes_per_s);
  v.rate("f16_flops_per_s", gpu.f16_flops_per_s);
  v.rate("bf16_flops_per_s", gpu.bf16_flops_per_s);
  v.rate("tf32_flops_per_s", gpu.tf32_flops_per_s);
  v.rate("fp8_flops_per_s", gpu.fp8_flops_per_s);
  v.rate("int8_ops_per_s", gpu.int8_ops_per_s);
  v.rate("pinned_upload_bytes_per_s", gpu.pinned_upload_bytes_per_s);
  v.rate("pinned_download_bytes_per_s", gpu.pinned_download_bytes_per_s);
  v.rate("pageable_upload_bytes_per_s", gpu.pageable_upload_bytes_per_s);
  v.rate("pageable_download_bytes_per_s", gpu.pageable_download_bytes_per_s);
}

template <typename Visitor>
void visit_fields(Visitor& v, HardwareProfile& profile) {
  v.whole("version", profile.version,
          {kHardwareProfileVersion, kHardwareProfileVersion, Presence::kNeeded});
  v.named("source", profile.source);
  v.texts("notes", profile.notes);
  v.map("processor", profile.processor);
  v.maps("disks", profile.disks, kEntriesMax);
  v.maps("gpus", profile.gpus, kEntriesMax);
}

}  // namespace neuros::device
