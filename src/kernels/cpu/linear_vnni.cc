// AVX-512 with VNNI, and with or without the bf16 dot product.

#include "base/float16.h"
#include "kernels/cpu/engine.h"
#include "kernels/cpu/iq4_codes.h"
#include "kernels/cpu/panel_layout.h"
#include "kernels/cpu/target.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)

#include <immintrin.h>

NEUROS_TARGET_BEGIN(NEUROS_TARGET_VNNI)
namespace neuros::kernels::cpu::vnni {

// In this order: each uses the ones before.
// clang-format off
#include "kernels/cpu/simd_avx512-inl.h"
#include "kernels/cpu/simd_vnni-inl.h"
#include "kernels/cpu/linear_rows-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_table-inl.h"
// clang-format on

}  // namespace neuros::kernels::cpu::vnni
NEUROS_TARGET_END

namespace neuros::kernels::cpu {

const EngineTable& vnni_engine() {
  static const EngineTable table = vnni::make_table<vnni::Bf16AsF32Step>();
  return table;
}

const EngineTable& vnni_bf16_engine() {
  static const EngineTable table = vnni::make_table<vnni::Bf16DotStep>();
  return table;
}

}  // namespace neuros::kernels::cpu

#endif
