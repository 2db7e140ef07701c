#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace neuros::sched {

/// When the models of a fleet are prepared: all before it answers, or the first, and the others
/// behind its compute.
enum class BootMode : uint8_t { kEager, kOnDemand };

/// Names in the order of the enum.
inline constexpr std::array<std::string_view, 2> kBootModeNames{"eager", "on-demand"};

inline std::string_view name(BootMode value) {
  return kBootModeNames[static_cast<size_t>(value)];
}

inline std::optional<BootMode> boot_mode_from_name(std::string_view text) {
  for (size_t i = 0; i < kBootModeNames.size(); ++i) {
    if (kBootModeNames[i] == text) return static_cast<BootMode>(i);
  }
  return std::nullopt;
}

}  // namespace neuros::sched
