#include "runtime/work_arena.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::runtime {
namespace {

size_t own_bytes(const plan::MemoryPlan& memory) {
  return static_cast<size_t>(memory.scratch + memory.activations);
}

/// Parts lie where kernels may have them, as each is a multiple of it.
base::Result<> check_parts(const plan::MemoryPlan& memory) {
  for (const int64_t bytes : {memory.activations, memory.scratch, memory.shared}) {
    if (bytes >= 0 && bytes % plan::kWorkAlignment == 0) continue;
    return base::fail("boot: activations or scratch of " + std::to_string(bytes) +
                      " bytes, expected a multiple of " + std::to_string(plan::kWorkAlignment));
  }
  return {};
}

}  // namespace

base::Result<WorkArena> WorkArena::reserve(std::span<const plan::Plan* const> plans,
                                           device::Device& device) {
  size_t own = 0, shared = 0;
  for (const plan::Plan* plan : plans) {
    TRY(check_parts(plan->memory));
    own += own_bytes(plan->memory);
    shared = std::max(shared, static_cast<size_t>(plan->memory.shared));
  }
  WorkArena arena;
  arena.buffer_ = TRY(device.reserve(own + shared, "activations and scratch"));
  size_t at = 0;
  for (const plan::Plan* plan : plans) {
    arena.models_.push_back(arena.take(*plan, at, own));
    at += own_bytes(plan->memory);
  }
  return arena;
}

WorkMemory WorkArena::take(const plan::Plan& plan, size_t at, size_t shared_at) const {
  const std::span<std::byte> all = buffer_.span();
  const auto scratch = static_cast<size_t>(plan.memory.scratch);
  const auto values = static_cast<size_t>(plan.shared_value_bytes());
  const auto shared = static_cast<size_t>(plan.memory.shared);
  CHECK(values <= shared, "values lie in their region");
  WorkMemory memory{
      .activations = all.subspan(at + scratch, static_cast<size_t>(plan.memory.activations)),
      .shared = all.subspan(shared_at, values),
      .scratch = all.subspan(at, scratch)};
  const auto shared_scratch = all.subspan(shared_at + values, shared - values);
  if (shared_scratch.empty()) return memory;
  // Kernels that keep nothing have no need of a start of their own.
  const size_t start = scratch == 0 ? shared_at + values : at;
  memory.scratch = all.subspan(start, shared_at + shared - start);
  return memory;
}

}  // namespace neuros::runtime
