#pragma once

#include "base/result.h"
#include "device/device.h"
#include "plan/plan.h"
#include "runtime/work_arena.h"

#include <cstddef>
#include <span>

namespace neuros::runtime {

/// All memory a model ever has: on its device exactly plan.memory.arena_bytes(), and on the host
/// its part of copies and room for KV pages.
struct Arenas {
  std::span<std::byte> weights;  ///< own_weights, or addresses of somebody else's
  WorkMemory work;               ///< somebody else's
  device::Buffer own_weights, kv, host, kv_host;

  /// Everything but `work`.
  static base::Result<Arenas> reserve(const plan::MemoryPlan& memory, device::Device& device,
                                      const WorkMemory& work);
  /// The same but for the weights.
  static base::Result<Arenas> reserve(const plan::MemoryPlan& memory, device::Device& device,
                                      const WorkMemory& work, std::span<std::byte> weights);
};

}  // namespace neuros::runtime
