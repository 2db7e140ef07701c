#include "kernels/op_table.h"

#include "kernels/cpu/fused_ops.h"
#include "kernels/cpu/linear.h"

#include <array>
#include <string>

namespace neuros::kernels {
namespace {

OpTable make_table(cpu::Engine engine) {
  OpTable table;
  table.name = std::string("cpu-") + cpu::name(engine);
  cpu::add_fused_ops(engine, table);
  for (int t = 0; t < base::kWeightDTypeCount; ++t) {
    table.linear[static_cast<size_t>(t)] = cpu::linear_kernel(engine, static_cast<base::DType>(t));
  }
  return table;
}

template <cpu::Engine engine>
const OpTable& table_of() {
  static const OpTable table = make_table(engine);
  return table;
}

}  // namespace

const OpTable& cpu_ops(const base::CpuFeatures& features) {
  switch (cpu::engine_for(features)) {
    case cpu::Engine::kGeneric:
      return table_of<cpu::Engine::kGeneric>();
    case cpu::Engine::kAvx2:
      return table_of<cpu::Engine::kAvx2>();
    case cpu::Engine::kAvx512:
      return table_of<cpu::Engine::kAvx512>();
    case cpu::Engine::kVnni:
      return table_of<cpu::Engine::kVnni>();
    case cpu::Engine::kVnniBf16:
      return table_of<cpu::Engine::kVnniBf16>();
    case cpu::Engine::kAmx:
      return table_of<cpu::Engine::kAmx>();
  }
  return table_of<cpu::Engine::kGeneric>();
}

}  // namespace neuros::kernels
