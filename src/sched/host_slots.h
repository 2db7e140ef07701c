#pragma once

#include "sched/ids.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace neuros::sched {

/// The ledger of the host tier: a slot is free, or holds the content of one KV page that is not on
/// the device. A wrong call is a CHECK.
class HostSlots {
 public:
  explicit HostSlots(int32_t slots);

  int32_t total() const { return static_cast<int32_t>(used_.size()); }
  int32_t free_count() const { return static_cast<int32_t>(free_.size()); }
  int32_t used_count() const { return total() - free_count(); }
  bool used(SlotId slot) const { return used_.at(static_cast<size_t>(slot)); }

  /// nullopt if no slot is free.
  std::optional<SlotId> take();
  void give_back(SlotId slot);

  std::string check_invariants() const;

 private:
  std::vector<bool> used_;
  std::vector<SlotId> free_;
};

}  // namespace neuros::sched
