#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"

#include <cstdint>

namespace neuros::runtime {

/// A number that differs where a byte of the packed weights could: of the checkpoint's files, of
/// the plan's placements, and of how the kernels pack (docs/formats/weight-cache.md). Fails for a
/// checkpoint that is not in files.
base::Result<uint64_t> weight_key(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                  const kernels::OpTable& ops);

}  // namespace neuros::runtime
