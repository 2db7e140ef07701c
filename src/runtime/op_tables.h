#pragma once

#include "kernels/op_table.h"

#include <string>
#include <string_view>
#include <vector>

namespace neuros::runtime {

/// Every table this processor can run: "ref", then from the plainest to the fastest.
std::vector<const kernels::OpTable*> op_tables();
std::vector<std::string> op_table_names();

/// The table of this name ("ref", "cpu-vnni+bf16") if this processor can run it, else null.
const kernels::OpTable* find_op_table(std::string_view name);

}  // namespace neuros::runtime
