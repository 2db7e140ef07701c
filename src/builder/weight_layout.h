#pragma once

#include "base/result.h"
#include "builder/builder.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"

namespace neuros::builder {

/// Places every weight of the program in its segment, in the order its kernels read them; a tensor
/// used twice (tied head) lies where it is used first. Segments begin at multiples of
/// `segment_alignment` and end at those of plan::kSegmentAlignment. Fills plan.segments,
/// plan.weights, plan.memory.weights and plan.memory.staging. Fails for a type the table has no
/// kernel for, and for one of `types` that a weight cannot become.
base::Result<> lay_out_weights(const formats::Checkpoint& checkpoint, const kernels::OpTable& ops,
                               const WeightTypes& types, int64_t segment_alignment,
                               plan::Plan& plan);

}  // namespace neuros::builder
