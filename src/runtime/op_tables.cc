#include "runtime/op_tables.h"

#include "base/cpu_features.h"
#include "device/cuda_device.h"

#include <algorithm>

namespace neuros::runtime {

std::vector<const kernels::OpTable*> op_tables() {
  std::vector<const kernels::OpTable*> tables{&kernels::ref_ops()};
  const base::CpuFeatures features = base::detect_cpu();
  for (const base::CpuLevel level : features.levels()) {
    for (const bool bf16 : {false, features.avx512_bf16}) {
      base::CpuFeatures at_level = features;
      at_level.level = level;
      at_level.avx512_bf16 = bf16;
      const kernels::OpTable* table = &kernels::cpu_ops(at_level);
      if (std::ranges::find(tables, table) == tables.end()) tables.push_back(table);
    }
  }
  if (!device::cuda_devices().empty()) tables.push_back(kernels::cuda_ops());
  return tables;
}

std::vector<std::string> op_table_names() {
  std::vector<std::string> names;
  for (const kernels::OpTable* table : op_tables()) names.push_back(table->name);
  return names;
}

const kernels::OpTable* find_op_table(std::string_view name) {
  if (name == kernels::llama_cpp_ops().name) return &kernels::llama_cpp_ops();
  for (const kernels::OpTable* table : op_tables()) {
    if (table->name == name) return table;
  }
  const kernels::OpTable* const compared = kernels::cuda_llama_cpp_ops();
  const bool has_gpu = !device::cuda_devices().empty();
  if (has_gpu && compared != nullptr && compared->name == name) return compared;
  return nullptr;
}

}  // namespace neuros::runtime
