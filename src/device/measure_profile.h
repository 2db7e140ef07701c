#pragma once

#include "base/function_ref.h"
#include "base/result.h"
#include "device/hardware_profile.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::device {

/// What this machine is, without rates: fast. Instruction sets are those that NEUROS_CPU leaves.
base::Result<ProcessorProfile> probe_processor();
/// In the driver's order: "cuda:1" is the second.
std::vector<GpuProfile> probe_gpus();
base::Result<HardwareProfile> probe_profile();

struct MeasureOptions {
  int32_t threads = 0;                      ///< 0: one per physical core
  std::string disk_folder;                  ///< empty: no disk is measured
  size_t memory_bytes = size_t{512} << 20;  ///< read and copied by the processor
  uint64_t disk_bytes = uint64_t{1} << 30;  ///< of the file written and read
};

/// Called before each part of the work, which all together is 1.
using OnMeasuring = base::FunctionRef<void(std::string_view what, double done)>;

/// Probes and measures everything present. What cannot be measured is a note; what fails is an
/// error.
base::Result<HardwareProfile> measure_profile(const MeasureOptions& options, OnMeasuring on_part);

}  // namespace neuros::device
