#pragma once

#include "kernels/op_table.h"

#include <string_view>

namespace neuros::runtime {

/// The table of this name ("ref", "cpu-vnni+bf16") if this processor can run it, else null.
const kernels::OpTable* find_op_table(std::string_view name);

}  // namespace neuros::runtime
