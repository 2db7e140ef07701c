#pragma once

#include "base/result.h"
#include "device/device.h"
#include "plan/plan.h"

#include <cstddef>
#include <span>

namespace neuros::runtime {

/// All memory a model ever has: on its device exactly plan.memory.arena_bytes(), and on the host
/// its part of copies and room for KV pages.
struct Arenas {
  std::span<std::byte> weights;  ///< own_weights, or addresses of somebody else's
  device::Buffer own_weights, kv, activations, scratch, host, kv_host;

  static base::Result<Arenas> reserve(const plan::MemoryPlan& memory, device::Device& device);
  /// The same but for the weights.
  static base::Result<Arenas> reserve(const plan::MemoryPlan& memory, device::Device& device,
                                      std::span<std::byte> weights);
};

}  // namespace neuros::runtime
