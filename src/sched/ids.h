#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace neuros::sched {

using ProcessId = uint64_t;
using TokenId = int32_t;
/// Number of a KV page, from 0.
using PageId = int32_t;
inline constexpr PageId kNoPage = -1;
/// Number of a slot of the host tier, from 0: room for what one KV page holds.
using SlotId = int32_t;
inline constexpr SlotId kNoSlot = -1;

enum class Priority : uint8_t { kLow = 0, kMedium = 1, kCritical = 2 };
inline constexpr std::array<std::string_view, 3> kPriorityNames{"low", "medium", "critical"};
inline std::string_view name(Priority value) {
  return kPriorityNames[static_cast<size_t>(value)];
}

}  // namespace neuros::sched
