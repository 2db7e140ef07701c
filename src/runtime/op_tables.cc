#include "runtime/op_tables.h"

#include "base/cpu_features.h"

namespace neuros::runtime {

const kernels::OpTable* find_op_table(std::string_view name) {
  if (name == kernels::ref_ops().name) return &kernels::ref_ops();
  base::CpuFeatures features = base::detect_cpu();
  for (const bool bf16 : {features.avx512_bf16, false}) {
    for (base::CpuLevel level : base::detect_cpu().levels()) {
      features.level = level;
      features.avx512_bf16 = bf16;
      const kernels::OpTable& table = kernels::cpu_ops(features);
      if (table.name == name) return &table;
    }
  }
  return nullptr;
}

}  // namespace neuros::runtime
