#pragma once

/// Bounds of numbers in a plan, for who checks one.

#include "base/result.h"

#include <cstdint>
#include <string>

namespace neuros::plan {

inline base::Result<> within(const std::string& what, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return base::fail(what + " " + std::to_string(value) + ", expected " + std::to_string(least) +
                    (least == most ? "" : " to " + std::to_string(most)));
}

inline base::Result<> equal(const std::string& what, int64_t value, int64_t expected) {
  return within(what, value, expected, expected);
}

}  // namespace neuros::plan
