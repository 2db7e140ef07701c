// Vector extensions of the compiler, for whatever its baseline is.

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

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace neuros::kernels::cpu::generic {

#include "kernels/cpu/simd_generic-inl.h"

inline constexpr int kTileTokens = 4;
inline constexpr int kBlockTokens = 4;
inline constexpr int kPlainBlockTokens = 4;
inline constexpr int kPrefetchBytes = 0;
inline constexpr bool kWideCodesAreSigned = false;

// In this order: each uses the ones before.
// clang-format off
#include "kernels/cpu/linear_rows-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_table-inl.h"
// clang-format on

}  // namespace neuros::kernels::cpu::generic

namespace neuros::kernels::cpu {

const EngineTable& generic_engine() {
  static const EngineTable table = generic::make_table<generic::Bf16AsF32Step>();
  return table;
}

}  // namespace neuros::kernels::cpu
