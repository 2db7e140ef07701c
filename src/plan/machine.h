#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace neuros::plan {

struct GpuFacts {
  std::string name;                ///< for people
  std::string compute_capability;  ///< "9.0": kernels are chosen by it
  int64_t memory_bytes = 0;
  int64_t pinned_bytes = 0;  ///< host memory pinned for it
};

/// What a machine has, as the builder is told; in a plan, what the plan counts on of that, so that
/// boot can refuse a machine that has less. Zero and empty: nothing is known, or counted on.
struct MachineFacts {
  std::string cpu_level;  ///< highest instruction set: "vnni"
  bool avx512_bf16 = false;
  int32_t cores = 0;
  int64_t host_bytes = 0;  ///< memory of the host; in a plan, of the process at its peak
  std::optional<GpuFacts> gpu = std::nullopt;  ///< the device, where that is a GPU
};

}  // namespace neuros::plan
