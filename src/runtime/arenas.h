#pragma once

#include "base/result.h"
#include "device/device.h"
#include "plan/plan.h"

namespace neuros::runtime {

/// All memory a model ever has: on its device exactly plan.memory.arena_bytes(), and the host's
/// part of copies.
struct Arenas {
  device::Buffer weights, kv, activations, scratch, host;

  static base::Result<Arenas> reserve(const plan::MemoryPlan& memory, device::Device& device);
};

}  // namespace neuros::runtime
