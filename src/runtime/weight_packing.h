#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/load_progress.h"
#include "runtime/weight_target.h"

namespace neuros::runtime {

/// Packs every weight of the plan into the arena, in the plan's order, while the parts that come
/// next are read from the checkpoint's files; no more of them is in memory at a time than
/// plan.memory.staging. Progress counts file bytes.
/// Fails, naming the tensor, where the checkpoint or the table is not what the plan was made for.
base::Result<> pack_weights(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                            const kernels::OpTable& ops, const WeightTarget& target,
                            const OnLoadProgress& on_progress);

}  // namespace neuros::runtime
