#include "kernels/cpu/vector_ops.h"

#include "base/check.h"
#include "base/float16.h"
#include "kernels/cpu/target.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/vector_ops.cc"
// Three tables are enough: plain, AVX2 and AVX-512.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#include "hwy/foreach_target.h"
// After foreach_target.h:
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/cpu/attention-inl.h"
#include "kernels/cpu/encoder_attention-inl.h"
#include "kernels/cpu/heads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace neuros::kernels::cpu {
namespace HWY_NAMESPACE {

const VectorOps& target_ops() {
  static constexpr VectorOps kOps{attend, attend_encoder, finish_head, store, normalise};
  return kOps;
}

}  // namespace HWY_NAMESPACE
}  // namespace neuros::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace neuros::kernels::cpu {

const VectorOps& vector_ops(base::CpuLevel level) {
#if HWY_TARGETS & HWY_AVX3
  if (level >= base::CpuLevel::kAvx512) return N_AVX3::target_ops();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (level >= base::CpuLevel::kAvx2) return N_AVX2::target_ops();
#endif
  return HWY_STATIC_DISPATCH(target_ops)();
}

int64_t attention_scratch_floats(int64_t heads, int64_t head_dim) {
  const int64_t queries = heads * kAttentionRows;
  constexpr int64_t kPageTokensMax = 64;
  const int64_t padded = (head_dim + 15) / 16 * 16;
  return queries * (padded + kPageTokensMax + 2) + kPageTokensMax * padded * 2;
}

int64_t encoder_scratch_floats(int64_t head_dim) {
  return kEncoderRows * (2 * head_dim + kEncoderKeys + 2) + 2 * kEncoderKeys * head_dim;
}

}  // namespace neuros::kernels::cpu

#endif  // HWY_ONCE
