#pragma once

#include "kernels/op_table.h"

#include <vector>

namespace neuros::kernels::testing {

/// Every table that this machine can run: ref, the CPU's at each level, the GPU's.
const std::vector<const OpTable*>& tables();

}  // namespace neuros::kernels::testing
