#include "sched/host_slots.h"

#include "base/check.h"

#include <algorithm>

namespace neuros::sched {

HostSlots::HostSlots(int32_t slots) : used_(static_cast<size_t>(slots)) {
  free_.reserve(used_.size());
  for (SlotId slot = slots - 1; slot >= 0; --slot) free_.push_back(slot);
}

std::optional<SlotId> HostSlots::take() {
  if (free_.empty()) return std::nullopt;
  const SlotId slot = free_.back();
  free_.pop_back();
  used_[static_cast<size_t>(slot)] = true;
  return slot;
}

void HostSlots::give_back(SlotId slot) {
  CHECK(slot >= 0 && slot < total() && used(slot), "only a slot in use is given back");
  used_[static_cast<size_t>(slot)] = false;
  free_.push_back(slot);
}

std::string HostSlots::check_invariants() const {
  const auto used_slots = static_cast<int32_t>(std::ranges::count(used_, true));
  if (used_slots != used_count()) return "free slots and slots in use do not add up";
  const bool wrong = std::ranges::any_of(free_, [&](SlotId slot) { return used(slot); });
  return wrong ? "slot in use is in the free list" : "";
}

}  // namespace neuros::sched
