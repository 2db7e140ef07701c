#pragma once

#include "plan/program.h"

#include <cstdint>
#include <vector>

namespace neuros::plan {

/// From the first op that touches a value to the last one, counted over all segments, and the steps
/// of a pass, the program's segments, that those belong to. Of what no op touches, none.
struct Lifetime {
  int32_t first_op = INT32_MAX, last_op = -1;
  int32_t first_step = INT32_MAX, last_step = -1;

  /// Whether no step leaves the value to the next one: between two steps it need not be anywhere.
  bool is_within_a_step() const { return first_step == last_step; }
};

/// Of each value of the program, which its ops refer to.
std::vector<Lifetime> lifetimes(const Program& program);

}  // namespace neuros::plan
