#pragma once

#include "plan/plan.h"

namespace neuros::builder {

/// Gives every value of the program an offset, such that values whose lifetimes meet do not overlap
/// and the arena is small (best fit by size, largest first). Fills plan.values and
/// plan.memory.activations from plan.limits.
void lay_out_activations(plan::Plan& plan);

}  // namespace neuros::builder
