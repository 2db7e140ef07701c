#pragma once

/// How a plan's file spells named values, in the order of their enums.

#include "plan/plan.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace neuros::plan {

inline constexpr std::array<std::string_view, 2> kRowsNames{"tokens", "logit_rows"};
inline constexpr std::array<std::string_view, 2> kRopeStyleNames{"interleaved", "halves"};
inline constexpr std::array<std::string_view, 2> kWeightKindNames{"matrix", "vector"};
inline constexpr std::array<std::string_view, 2> kRegionNames{"own", "shared"};
inline constexpr std::array<std::string_view, 2> kChoiceSourceNames{"estimate", "table"};

inline std::string_view name(Value::Rows rows) {
  return kRowsNames[static_cast<size_t>(rows)];
}
inline std::string_view name(RopeStyle style) {
  return kRopeStyleNames[static_cast<size_t>(style)];
}
inline std::string_view name(WeightPlacement::Kind kind) {
  return kWeightKindNames[static_cast<size_t>(kind)];
}
inline std::string_view name(Region region) {
  return kRegionNames[static_cast<size_t>(region)];
}
inline std::string_view name(KernelChoice::Source source) {
  return kChoiceSourceNames[static_cast<size_t>(source)];
}

}  // namespace neuros::plan
