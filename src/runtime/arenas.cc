#include "runtime/arenas.h"

#include <utility>

namespace neuros::runtime {

base::Result<Arenas> Arenas::reserve(const plan::MemoryPlan& memory, device::Device& device,
                                     const WorkMemory& work) {
  device::Buffer weights = TRY(device.reserve(static_cast<size_t>(memory.weights), "weights"));
  Arenas arenas = TRY(reserve(memory, device, work, weights.span()));
  arenas.own_weights = std::move(weights);
  return arenas;
}

base::Result<Arenas> Arenas::reserve(const plan::MemoryPlan& memory, device::Device& device,
                                     const WorkMemory& work, std::span<std::byte> weights) {
  Arenas arenas;
  arenas.weights = weights;
  arenas.work = work;
  arenas.kv = TRY(device.reserve(static_cast<size_t>(memory.kv), "KV pages"));
  arenas.host =
      TRY(device.reserve_host(static_cast<size_t>(memory.host), "host side of batches and logits"));
  arenas.kv_host = TRY(
      device.reserve_host(static_cast<size_t>(memory.kv_host), "KV pages that leave the device"));
  return arenas;
}

}  // namespace neuros::runtime
