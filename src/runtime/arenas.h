#pragma once

#include "base/result.h"
#include "device/device.h"
#include "plan/plan.h"

namespace neuros::runtime {

/// All memory a model ever has on its device: exactly plan.memory.arena_bytes().
struct Arenas {
  device::Buffer weights, kv, activations, scratch;

  static base::Result<Arenas> reserve(const plan::MemoryPlan& memory, device::Device& device);
};

}  // namespace neuros::runtime
