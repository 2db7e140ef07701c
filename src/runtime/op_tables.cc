#include "runtime/op_tables.h"

namespace neuros::runtime {

const kernels::OpTable* find_op_table(std::string_view name) {
  if (name == kernels::ref_ops().name) return &kernels::ref_ops();
  return nullptr;
}

}  // namespace neuros::runtime
