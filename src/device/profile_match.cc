#include "device/profile_match.h"

#include <algorithm>
#include <cstdio>

namespace neuros::device {
namespace {

/// Drivers report the memory of equal cards differently, and vendors name it in round numbers.
constexpr double kMemoryForgiven = 0.03;
/// Rates differ between equal machines, and from one measurement to the next.
constexpr double kRateForgiven = 0.2;

std::string in_giga(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f G%s", value / 1e9, unit);
  return text;
}

std::string differs(const std::string& planned, const std::string& here) {
  return ": planned for " + planned + ", here " + here;
}

class Matching {
 public:
  explicit Matching(bool rates) : rates_(rates) {}

  void at_least(const std::string& key, int64_t planned, int64_t here) {
    if (here >= planned) return;
    match.refusals.push_back(key + differs(std::to_string(planned), std::to_string(here)));
  }
  void slower_if_fewer(const std::string& key, int64_t planned, int64_t here) {
    if (here >= planned) return;
    match.warnings.push_back(key + differs(std::to_string(planned), std::to_string(here)));
  }
  void bytes(const std::string& key, int64_t planned, int64_t here) {
    const auto want = static_cast<double>(planned), have = static_cast<double>(here);
    if (have >= want * (1 - kMemoryForgiven)) return;
    match.refusals.push_back(key + differs(in_giga(want, "B"), in_giga(have, "B")));
  }
  void rate(const std::string& key, double planned, double here) {
    const bool known = rates_ && planned > 0 && here > 0;
    if (!known || here >= planned * (1 - kRateForgiven)) return;
    match.warnings.push_back(key + differs(in_giga(planned, "/s"), in_giga(here, "/s")));
  }
  void refuse(const std::string& key, const std::string& planned, const std::string& here) {
    match.refusals.push_back(key + differs(planned, here));
  }

  ProfileMatch match;

 private:
  const bool rates_;
};

void match_levels(const ProcessorProfile& planned, const ProcessorProfile& here,
                  Matching& matching) {
  const base::CpuFeatures want = planned.features(), have = here.features();
  if (want.level > have.level) {
    matching.refuse("processor.levels", to_text(want.level), to_text(have.level));
  }
  if (want.avx512_bf16 && !have.avx512_bf16) {
    matching.refuse("processor.avx512_bf16", "true", "false");
  }
}

void match_processors(const ProcessorProfile& planned, const ProcessorProfile& here,
                      Matching& matching) {
  matching.at_least("processor.cores", planned.cores, here.cores);
  matching.bytes("processor.memory_bytes", planned.memory_bytes, here.memory_bytes);
  match_levels(planned, here, matching);
  matching.rate("processor.read_bytes_per_s", planned.read_bytes_per_s, here.read_bytes_per_s);
  matching.rate("processor.copy_bytes_per_s", planned.copy_bytes_per_s, here.copy_bytes_per_s);
  matching.rate("processor.f32_flops_per_s", planned.f32_flops_per_s, here.f32_flops_per_s);
  matching.rate("processor.bf16_flops_per_s", planned.bf16_flops_per_s, here.bf16_flops_per_s);
  matching.rate("processor.int8_ops_per_s", planned.int8_ops_per_s, here.int8_ops_per_s);
}

void match_gpu_rates(const std::string& at, const GpuProfile& planned, const GpuProfile& here,
                     Matching& m) {
  m.rate(at + "copy_bytes_per_s", planned.copy_bytes_per_s, here.copy_bytes_per_s);
  m.rate(at + "f16_flops_per_s", planned.f16_flops_per_s, here.f16_flops_per_s);
  m.rate(at + "bf16_flops_per_s", planned.bf16_flops_per_s, here.bf16_flops_per_s);
  m.rate(at + "tf32_flops_per_s", planned.tf32_flops_per_s, here.tf32_flops_per_s);
  m.rate(at + "fp8_flops_per_s", planned.fp8_flops_per_s, here.fp8_flops_per_s);
  m.rate(at + "int8_ops_per_s", planned.int8_ops_per_s, here.int8_ops_per_s);
  m.rate(at + "pinned_upload_bytes_per_s", planned.pinned_upload_bytes_per_s,
         here.pinned_upload_bytes_per_s);
  m.rate(at + "pinned_download_bytes_per_s", planned.pinned_download_bytes_per_s,
         here.pinned_download_bytes_per_s);
  m.rate(at + "pageable_upload_bytes_per_s", planned.pageable_upload_bytes_per_s,
         here.pageable_upload_bytes_per_s);
  m.rate(at + "pageable_download_bytes_per_s", planned.pageable_download_bytes_per_s,
         here.pageable_download_bytes_per_s);
}

void match_gpus(const std::string& at, const GpuProfile& planned, const GpuProfile& here,
                Matching& matching) {
  if (planned.compute_capability != here.compute_capability) {
    matching.refuse(at + "compute_capability",
                    to_text(planned.compute_capability) + " (" + planned.name + ")",
                    to_text(here.compute_capability) + " (" + here.name + ")");
  }
  matching.slower_if_fewer(at + "multiprocessors", planned.multiprocessors, here.multiprocessors);
  matching.bytes(at + "memory_bytes", planned.memory_bytes, here.memory_bytes);
  matching.bytes(at + "pinned_limit_bytes", planned.pinned_limit_bytes, here.pinned_limit_bytes);
  match_gpu_rates(at, planned, here, matching);
}

std::string in_one_line(const std::vector<std::string>& parts) {
  std::string line;
  for (const std::string& part : parts) line += (line.empty() ? "" : "; ") + part;
  return line;
}

}  // namespace

ProfileMatch match_profiles(const HardwareProfile& planned_for, const HardwareProfile& here) {
  Matching matching(planned_for.source == ProfileSource::kMeasured &&
                    here.source == ProfileSource::kMeasured);
  if (planned_for.processor) {
    match_processors(*planned_for.processor, here.processor.value_or(ProcessorProfile()), matching);
  }
  matching.at_least("gpus", std::ssize(planned_for.gpus), std::ssize(here.gpus));
  const size_t both = std::min(planned_for.gpus.size(), here.gpus.size());
  for (size_t i = 0; i < both; ++i) {
    match_gpus("gpus[" + std::to_string(i) + "].", planned_for.gpus[i], here.gpus[i], matching);
  }
  return std::move(matching.match);
}

base::Result<> check_match(const HardwareProfile& planned_for, const HardwareProfile& here) {
  const std::vector<std::string> refusals = match_profiles(planned_for, here).refusals;
  if (refusals.empty()) return {};
  return base::fail("this machine is not the one planned for: " + in_one_line(refusals),
                    base::ErrorKind::kUnsupported);
}

}  // namespace neuros::device
