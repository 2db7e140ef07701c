#pragma once

#include "device/device.h"
#include "plan/plan.h"
#include "sched/page_move.h"

#include <cstddef>
#include <span>

namespace neuros::runtime {

/// Carries KV pages between the device and the slots of the host tier, as the scheduler says. A
/// page, all layers, is one copy.
class KvSwap {
 public:
  /// The stream and both arenas outlive it.
  KvSwap(const plan::KvPlan& kv, device::Stream& stream, std::span<std::byte> pages,
         std::span<std::byte> slots);

  /// Gives the stream the copies in their order; its errors show when it is waited for.
  void carry_out(std::span<const sched::PageMove> moves);

 private:
  size_t page_bytes_;
  device::Stream& stream_;
  std::span<std::byte> pages_, slots_;
};

}  // namespace neuros::runtime
