#include "kernels/op_table.h"

namespace neuros::kernels {

const OpTable* cuda_ops() {
  return nullptr;
}

const OpTable* cuda_llama_cpp_ops() {
  return nullptr;
}

}  // namespace neuros::kernels
