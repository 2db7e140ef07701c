#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace neuros::runtime {

enum class ModelState : uint8_t { kBooting, kReady, kFailed };

/// Names in the order of the enum.
inline constexpr std::array<std::string_view, 3> kModelStateNames{"booting", "ready", "failed"};

inline std::string_view name(ModelState value) {
  return kModelStateNames[static_cast<size_t>(value)];
}

/// How a model of a fleet came up.
struct ModelBoot {
  ModelState state = ModelState::kBooting;
  std::string error;   ///< for kFailed: which file, and what is wrong with it
  double seconds = 0;  ///< from the begin of the fleet's boot until it was ready, or had failed
};

}  // namespace neuros::runtime
