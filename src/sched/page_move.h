#pragma once

#include "sched/ids.h"

#include <cstdint>

namespace neuros::sched {

/// One page's content on its way between the device and the host tier. Moves are carried out in
/// their order: a page is free for other content after its move out, a slot after its move in.
struct PageMove {
  enum class Kind : uint8_t { kOut, kIn };
  Kind kind = Kind::kOut;
  PageId page = kNoPage;  ///< where from, out; where to, in
  SlotId slot = kNoSlot;
  bool operator==(const PageMove&) const = default;
};

}  // namespace neuros::sched
