/// TQ1_0, TQ2_0, Q2_0: one scale and levels -1, 0, 1 (Q2_0: also 2). Weights that are ternary
/// already come back exactly; others get the best scale for their levels.

#include "kernels/grid_fit.h"
#include "kernels/pack_block.h"

#include <algorithm>
#include <cmath>

namespace neuros::kernels {
namespace {

constexpr Grid kTernary{-1, 1};
constexpr Grid kQuaternary{-1, 2};

struct Magnitudes {
  float mean = 0.0f;
  float largest = 0.0f;
};

Magnitudes magnitudes(const float* x, int n) {
  Magnitudes out;
  for (int i = 0; i < n; ++i) {
    out.mean += std::fabs(x[i]) / static_cast<float>(n);
    out.largest = std::max(out.largest, std::fabs(x[i]));
  }
  return out;
}

/// The better of two fits: one from the largest value, as ternary weights have it, and one from
/// where a bell curve of weights has its optimum.
ScaleFit fit_ternary(const BlockInput& in, int n) {
  const Magnitudes size = magnitudes(in.x, n);
  const ScaleFit from_largest = settle_scale(in.x, in.w, n, kTernary, size.largest);
  const ScaleFit from_mean = settle_scale(in.x, in.w, n, kTernary, 1.5f * size.mean);
  return from_mean.gain > from_largest.gain ? from_mean : from_largest;
}

/// Ternary, unless the fourth level (on either side) explains more.
ScaleFit fit_quaternary(const BlockInput& in, int n) {
  ScaleFit best = fit_ternary(in, n);
  const Magnitudes size = magnitudes(in.x, n);
  for (const float first : {0.5f * size.largest, 0.7f * size.largest, size.mean}) {
    for (const float signed_first : {first, -first}) {
      const ScaleFit fit = settle_scale(in.x, in.w, n, kQuaternary, signed_first);
      if (fit.gain > 1.0001f * best.gain) best = fit;
    }
  }
  return best;
}

/// `digits` codes of `count` elements each into `count` bytes: the smallest byte b with
/// b / 256 >= the fraction that the digits spell in base 3.
void pack_trits(const uint8_t* codes, int count, int digits, uint8_t* out) {
  for (int i = 0; i < count; ++i) {
    int number = 0;
    for (int n = 0; n < 5; ++n) number = 3 * number + (n < digits ? codes[count * n + i] : 0);
    out[i] = static_cast<uint8_t>((number * 256 + 242) / 243);
  }
}

template <typename Block>
void pack_codes_of_2(const BlockInput& in, int n, Block& out) {
  uint8_t codes[128];
  out.d = stored_scale(fit_quaternary(in, n).scale);
  encode(in.x, n, base::f16_to_float(out.d), 0.0f, kQuaternary, codes);
  for (int i = 0; i < n / 4; ++i) {
    const uint8_t* c = codes + 4 * i;
    out.qs[i] = static_cast<uint8_t>(c[0] | (c[1] << 2) | (c[2] << 4) | (c[3] << 6));
  }
}

f16 encode_ternary(const BlockInput& in, uint8_t* codes) {
  const f16 d = stored_scale(fit_ternary(in, 256).scale);
  encode(in.x, 256, base::f16_to_float(d), 0.0f, kTernary, codes);
  return d;
}

}  // namespace

void pack_block(const BlockInput& in, BlockTQ1_0& out) {
  uint8_t codes[256];
  out.d = encode_ternary(in, codes);
  pack_trits(codes, 32, 5, out.qs);
  pack_trits(codes + 160, 16, 5, out.qs + 32);
  pack_trits(codes + 240, 4, 4, out.qh);
}

void pack_block(const BlockInput& in, BlockTQ2_0& out) {
  uint8_t codes[256];
  out.d = encode_ternary(in, codes);
  for (int i = 0; i < 64; ++i) {
    const uint8_t* c = codes + 128 * (i / 32) + i % 32;
    out.qs[i] = static_cast<uint8_t>(c[0] | (c[32] << 2) | (c[64] << 4) | (c[96] << 6));
  }
}

void pack_block(const BlockInput& in, BlockQ2_0& out) {
  pack_codes_of_2(in, 64, out);
}

void pack_block(const BlockInput& in, BlockQ2_0_128& out) {
  pack_codes_of_2(in, 128, out);
}

}  // namespace neuros::kernels
