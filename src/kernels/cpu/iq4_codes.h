#pragma once

#include "kernels/blocks.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cpu {

/// kIq4Values + 128, so that they are unsigned.
inline constexpr std::array<uint8_t, 16> kIq4Codes = [] {
  std::array<uint8_t, 16> codes{};
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(kIq4Values[i] + 128);
  return codes;
}();

}  // namespace neuros::kernels::cpu
