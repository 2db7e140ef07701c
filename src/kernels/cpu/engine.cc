#include "kernels/cpu/engine.h"

#include "kernels/cpu/panel_pack.h"

#include <array>
#include <string>
#include <utility>

namespace neuros::kernels::cpu {
namespace {

constexpr std::array<const char*, kEngineCount> kNames{"generic", "avx2",      "avx512",
                                                       "vnni",    "vnni+bf16", "amx"};

template <Engine kEngine>
void run_linear(const OpContext& context, const LinearArgs& args) {
  const ActivationSource source{.x = args.x, .tokens = args.tokens, .cols = args.weight.cols};
  const LinearTask task{.weight = args.weight,
                        .bias = args.bias,
                        .residual = args.residual,
                        .y = args.y,
                        .y_stride = args.weight.rows};
  linear_tasks(kEngine, context, source, {&task, 1});
}

using RunFn = void (*)(const OpContext&, const LinearArgs&);
template <size_t... i>
constexpr std::array<RunFn, kEngineCount> run_functions(std::index_sequence<i...>) {
  return {run_linear<static_cast<Engine>(i)>...};
}
constexpr auto kRun = run_functions(std::make_index_sequence<kEngineCount>());

using KernelNames = std::array<std::array<std::string, base::kWeightDTypeCount>, kEngineCount>;

/// "vnni+bf16 q4_k r16"
const KernelNames& kernel_names() {
  static const KernelNames names = [] {
    KernelNames made;
    for (size_t e = 0; e < made.size(); ++e) {
      for (size_t t = 0; t < made[e].size(); ++t) {
        const std::string type(base::name(static_cast<base::DType>(t)));
        made[e][t] = std::string(kNames[e]) + " " + type + " r16";
      }
    }
    return made;
  }();
  return names;
}

}  // namespace

const char* name(Engine engine) {
  return kNames.at(static_cast<size_t>(engine));
}

Engine engine_for(const base::CpuFeatures& features) {
  switch (features.level) {
    case base::CpuLevel::kGeneric:
      return Engine::kGeneric;
    case base::CpuLevel::kAvx2:
      return Engine::kAvx2;
    case base::CpuLevel::kAvx512:
      return Engine::kAvx512;
    case base::CpuLevel::kVnni:
      return features.avx512_bf16 ? Engine::kVnniBf16 : Engine::kVnni;
    case base::CpuLevel::kAmx:
      return Engine::kAmx;
  }
  return Engine::kGeneric;
}

const EngineTable& engine_table(Engine engine) {
  switch (engine) {
#if defined(__x86_64__)
    case Engine::kAvx2:
      return avx2_engine();
    case Engine::kAvx512:
      return avx512_engine();
    case Engine::kVnni:
      return vnni_engine();
    case Engine::kVnniBf16:
      return vnni_bf16_engine();
    case Engine::kAmx:
      return amx_engine();
#endif
    default:
      return generic_engine();
  }
}

/// For an engine that this machine need not have: a plan for another one asks as well. So nothing
/// of the engine runs here, not even what fills its table.
LinearKernel linear_kernel(Engine engine, base::DType dtype) {
  const auto e = static_cast<size_t>(engine);
  const auto t = static_cast<size_t>(dtype);
  return {.name = kernel_names().at(e).at(t).c_str(),
          .packed_bytes = packed_bytes_function(dtype),
          .pack = pack_function(dtype),
          .unpack_row = unpack_row,
          .run = kRun.at(e)};
}

}  // namespace neuros::kernels::cpu
