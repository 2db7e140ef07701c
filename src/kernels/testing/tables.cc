#include "kernels/testing/tables.h"

#include "base/cpu_features.h"
#include "kernels/testing/cuda_table.h"

#include <algorithm>

namespace neuros::kernels::testing {
namespace {

std::vector<const OpTable*> find_tables() {
  std::vector<const OpTable*> out{&ref_ops()};
  const base::CpuFeatures detected = base::detect_cpu();
  for (const base::CpuLevel level : detected.levels()) {
    for (const bool bf16 : {false, true}) {
      if (bf16 && (!detected.avx512_bf16 || level < base::CpuLevel::kVnni)) continue;
      base::CpuFeatures features = detected;
      features.level = level;
      features.avx512_bf16 = bf16;
      const OpTable* table = &cpu_ops(features);
      if (std::find(out.begin(), out.end(), table) == out.end()) out.push_back(table);
    }
  }
  if (const OpTable* gpu = synchronous_cuda_ops()) out.push_back(gpu);
  return out;
}

}  // namespace

const std::vector<const OpTable*>& tables() {
  static const std::vector<const OpTable*> out = find_tables();
  return out;
}

}  // namespace neuros::kernels::testing
