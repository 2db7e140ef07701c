// AMX: int8 and bf16 products on tiles; all else as in linear_vnni.cc.

#include "base/float16.h"
#include "kernels/cpu/amx_tiles.h"
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
namespace neuros::kernels::cpu::amx {

// In this order: each uses the ones before.
// clang-format off
#include "kernels/cpu/simd_avx512-inl.h"
#include "kernels/cpu/simd_vnni-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_amx-inl.h"
#include "kernels/cpu/linear_amx_bf16-inl.h"
#include "kernels/cpu/linear_amx_table-inl.h"
// clang-format on

}  // namespace neuros::kernels::cpu::amx
NEUROS_TARGET_END

namespace neuros::kernels::cpu {

const EngineTable& amx_engine() {
  static const EngineTable table = amx::with_tiles<HardwareTiles>(vnni_bf16_engine());
  return table;
}

}  // namespace neuros::kernels::cpu

#endif
