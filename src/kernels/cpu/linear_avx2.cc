// AVX2 with FMA and F16C.

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

NEUROS_TARGET_BEGIN("avx2,fma,f16c")
namespace neuros::kernels::cpu::avx2 {

#include "kernels/cpu/simd_avx2-inl.h"

inline constexpr int kTileTokens = 4;
inline constexpr int kBlockTokens = 3;
inline constexpr int kPlainBlockTokens = 5;
inline constexpr int kPrefetchBytes = 8192;
inline constexpr bool kWideCodesAreSigned = true;

// In this order: each uses the ones before.
// clang-format off
#include "kernels/cpu/linear_rows-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_table-inl.h"
// clang-format on

}  // namespace neuros::kernels::cpu::avx2
NEUROS_TARGET_END

namespace neuros::kernels::cpu {

const EngineTable& avx2_engine() {
  static const EngineTable table = avx2::make_table<avx2::Bf16AsF32Step>();
  return table;
}

}  // namespace neuros::kernels::cpu

#endif
