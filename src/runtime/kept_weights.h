#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/packed_weights_io.h"

#include <string>

namespace neuros::runtime {

/// One model's packed weights in a folder of such files: which they are, and where.
struct KeptWeights {
  PackedWeightsLabel label;
  std::string path;

  static base::Result<KeptWeights> find(const plan::Plan& plan,
                                        const formats::Checkpoint& checkpoint,
                                        const kernels::OpTable& ops, const std::string& folder);
  /// The file, once it has the plan's segments of this key; kNotFound where there is none yet.
  base::Result<PackedWeightsFile> open(const plan::Plan& plan) const;
};

}  // namespace neuros::runtime
