#pragma once

/// What a plan may count on in a machine (docs/formats/hardware-profile.md). Plain facts and rates:
/// measured here, read from a file, or published of a card.

#include "base/cpu_features.h"
#include "device/cpu/topology.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::device {

/// Zero and empty mean everywhere: not known, not measured, or not there.
struct ProcessorProfile {
  std::string brand;
  int32_t packages = 0, numa_nodes = 0, cores = 0, threads = 0;
  int64_t memory_bytes = 0;
  std::vector<CacheLevel> caches;
  std::vector<base::CpuLevel> levels;  ///< plainest first
  bool avx512_bf16 = false;
  int32_t measured_threads = 0;  ///< that worked on the rates at once
  double read_bytes_per_s = 0, copy_bytes_per_s = 0;
  double f32_flops_per_s = 0, bf16_flops_per_s = 0, int8_ops_per_s = 0;

  /// As kernels are chosen by.
  base::CpuFeatures features() const;
};

struct DiskProfile {
  std::string path;  ///< the folder measured
  std::string device, file_system;
  double read_bytes_per_s = 0;
};

struct ComputeCapability {
  int32_t major = 0, minor = 0;
  bool operator==(const ComputeCapability&) const = default;
};

struct GpuProfile {
  std::string name, pci_bus_id;
  ComputeCapability compute_capability;
  int32_t multiprocessors = 0;
  int64_t l1_bytes_per_multiprocessor = 0;  ///< L1 cache and shared memory together
  int64_t shared_bytes_per_multiprocessor = 0, shared_bytes_per_block = 0;  ///< at most
  int64_t l2_bytes = 0, memory_bytes = 0;
  int64_t pinned_limit_bytes = 0;  ///< host memory that may be pinned for it
  double copy_bytes_per_s = 0;     ///< device to device, bytes read and written
  double f16_flops_per_s = 0, bf16_flops_per_s = 0, tf32_flops_per_s = 0, fp8_flops_per_s = 0;
  double int8_ops_per_s = 0;
  double pinned_upload_bytes_per_s = 0, pinned_download_bytes_per_s = 0;
  double pageable_upload_bytes_per_s = 0, pageable_download_bytes_per_s = 0;
};

enum class ProfileSource { kMeasured, kPublished };

inline constexpr int32_t kHardwareProfileVersion = 1;

struct HardwareProfile {
  int32_t version = kHardwareProfileVersion;
  ProfileSource source = ProfileSource::kMeasured;
  std::vector<std::string> notes;             ///< for people
  std::optional<ProcessorProfile> processor;  ///< none: a profile of cards
  std::vector<DiskProfile> disks;
  std::vector<GpuProfile> gpus;
};

/// How named values are spelled in a profile, and back; false for another word.
std::string to_text(ProfileSource source);
std::string to_text(base::CpuLevel level);
std::string to_text(const ComputeCapability& capability);  ///< "9.0"
bool from_text(std::string_view text, ProfileSource& source);
bool from_text(std::string_view text, base::CpuLevel& level);
bool from_text(std::string_view text, ComputeCapability& capability);
/// What from_text takes, for messages.
std::string_view spelling(ProfileSource);
std::string_view spelling(base::CpuLevel);
std::string_view spelling(const ComputeCapability&);

}  // namespace neuros::device
