#include "runtime/arenas.h"

#include <utility>

namespace neuros::runtime {

base::Result<Arenas> Arenas::reserve(const plan::MemoryPlan& memory, device::Device& device) {
  device::Buffer weights = TRY(device.reserve(static_cast<size_t>(memory.weights), "weights"));
  Arenas arenas = TRY(reserve(memory, device, weights.span()));
  arenas.own_weights = std::move(weights);
  return arenas;
}

base::Result<Arenas> Arenas::reserve(const plan::MemoryPlan& memory, device::Device& device,
                                     std::span<std::byte> weights) {
  const auto buffer = [&](int64_t bytes, const char* what) {
    return device.reserve(static_cast<size_t>(bytes), what);
  };
  Arenas arenas;
  arenas.weights = weights;
  arenas.kv = TRY(buffer(memory.kv, "KV pages"));
  arenas.activations = TRY(buffer(memory.activations, "activations"));
  arenas.scratch = TRY(buffer(memory.scratch, "scratch"));
  arenas.host =
      TRY(device.reserve_host(static_cast<size_t>(memory.host), "host side of batches and logits"));
  arenas.kv_host = TRY(
      device.reserve_host(static_cast<size_t>(memory.kv_host), "KV pages that leave the device"));
  return arenas;
}

}  // namespace neuros::runtime
