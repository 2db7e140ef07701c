#pragma once

#include "plan/program.h"

#include <cstdint>
#include <vector>

namespace neuros::plan {

/// When a value is needed.
struct Lifetime {
  /// The first op that touches it and the last one, counted over all segments; of a value that no
  /// op touches, first_op > last_op.
  int32_t first_op = INT32_MAX, last_op = -1;
  /// The first step of a pass, a segment of the program, that reads the value before writing it: it
  /// takes over what an earlier step left there. Negative: no step does, and between two steps the
  /// value need not be anywhere.
  int32_t taken_over_by = -1;

  bool is_within_steps() const { return taken_over_by < 0; }
};

/// Of each value of the program, which its ops refer to. An op that writes a value writes all of
/// it.
std::vector<Lifetime> lifetimes(const Program& program);

}  // namespace neuros::plan
