#include "runtime/arenas.h"

#include <utility>

namespace neuros::runtime {

base::Result<Arenas> Arenas::reserve(const plan::MemoryPlan& memory, device::Device& device) {
  const auto buffer = [&](int64_t bytes, const char* what) {
    return device.reserve(static_cast<size_t>(bytes), what);
  };
  Arenas arenas;
  arenas.weights = TRY(buffer(memory.weights, "weights"));
  arenas.kv = TRY(buffer(memory.kv, "KV pages"));
  arenas.activations = TRY(buffer(memory.activations, "activations"));
  arenas.scratch = TRY(buffer(memory.scratch, "scratch"));
  arenas.host =
      TRY(device.reserve_host(static_cast<size_t>(memory.host), "host side of batches and logits"));
  return arenas;
}

}  // namespace neuros::runtime
