#pragma once

#include <cstdint>

namespace neuros::sched {

using ProcessId = uint64_t;
using TokenId = int32_t;
/// Number of a KV page, from 0.
using PageId = int32_t;
inline constexpr PageId kNoPage = -1;

enum class Priority : uint8_t { kLow = 0, kMedium = 1, kCritical = 2 };

}  // namespace neuros::sched
