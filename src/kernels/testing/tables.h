#pragma once

#include "kernels/op_table.h"

#include <vector>

namespace neuros::kernels::testing {

/// Every table that this processor can run: ref, then the CPU's at each level.
const std::vector<const OpTable*>& tables();

}  // namespace neuros::kernels::testing
