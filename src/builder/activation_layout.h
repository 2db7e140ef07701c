#pragma once

#include "plan/plan.h"

namespace neuros::builder {

/// Gives every value of the program an offset, such that values whose lifetimes meet do not overlap
/// and each region is small (best fit by size, largest first). `of_steps`: whose memory the values
/// lie in that no step leaves to the next one; the others always lie in the model's own. Fills
/// plan.values, plan.memory.activations and, with values alone, plan.memory.shared from
/// plan.limits.
void lay_out_activations(plan::Plan& plan, plan::Region of_steps);

}  // namespace neuros::builder
