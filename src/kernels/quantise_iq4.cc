/// IQ4_NL and IQ4_XS: four bits that choose from sixteen unevenly spaced levels.

#include "kernels/grid_fit.h"
#include "kernels/lanes.h"
#include "kernels/pack_block.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace neuros::kernels {
namespace {

constexpr int kGroup = 32;

/// The code nearest to a value, by twice the value rounded down: levels are whole, so the points
/// between two of them are multiples of a half.
struct NearestCode {
  static constexpr int kLowest = -256;
  static constexpr int kHighest = 255;
  std::array<uint8_t, kHighest - kLowest + 1> codes{};

  constexpr NearestCode() {
    size_t code = 0;
    for (int twice = kLowest; twice <= kHighest; ++twice) {
      while (code < 15 && twice >= kIq4Values[code] + kIq4Values[code + 1]) ++code;
      codes[static_cast<size_t>(twice - kLowest)] = static_cast<uint8_t>(code);
    }
  }
};
constexpr NearestCode kNearest;

void encode_iq4(const float* x, float inverse, uint8_t* codes) {
  constexpr auto kLow = static_cast<float>(NearestCode::kLowest);
  constexpr auto kHigh = static_cast<float>(NearestCode::kHighest);
  for (int i = 0; i < kGroup; i += kLanes) {
    // Truncation of a positive number rounds it down.
    const Lanes place =
        clamp(load(x + i) * splat(2 * inverse), splat(kLow), splat(kHigh)) - splat(kLow);
    for (int j = 0; j < kLanes; ++j) {
      codes[i + j] = kNearest.codes[static_cast<size_t>(static_cast<int>(place[j]))];
    }
  }
}

ScaleFit fit_at(const float* x, const float* w, float inverse) {
  uint8_t codes[kGroup];
  encode_iq4(x, inverse, codes);
  float xv = 0.0f, vv = 0.0f;
  for (int i = 0; i < kGroup; ++i) {
    const auto value = static_cast<float>(kIq4Values[codes[i]]);
    xv += w[i] * x[i] * value;
    vv += w[i] * value * value;
  }
  if (!(vv > 0.0f)) return {};
  return {xv / vv, xv / vv * xv, vv};
}

/// Tries scales that put the largest value near either end of the levels.
ScaleFit fit_iq4(const float* x, const float* w) {
  float extreme = 0.0f;
  for (int i = 0; i < kGroup; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (std::fabs(extreme) < 1e-10f) return {};
  ScaleFit best{.scale = extreme / static_cast<float>(kIq4Values.front())};
  for (const int8_t end : {kIq4Values.front(), kIq4Values.back()}) {
    for (int step = -8; step <= 8; step += 2) {
      const ScaleFit fit = fit_at(x, w, static_cast<float>(end + step) / extreme);
      if (fit.gain > best.gain) best = fit;
    }
  }
  return best;
}

float inverse_of(float scale) {
  return std::fabs(scale) < 1e-30f ? 0.0f : 1.0f / scale;
}

void pack_nibbles(const uint8_t* codes, uint8_t* qs) {
  for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>(codes[i] | (codes[i + 16] << 4));
}

void set_scale(BlockIQ4_XS& out, int g, int scale) {
  const int code = scale + 32;
  out.scales_l[g / 2] = static_cast<uint8_t>(out.scales_l[g / 2] | ((code & 15) << (4 * (g % 2))));
  out.scales_h = static_cast<uint16_t>(out.scales_h | ((code >> 4) << (2 * g)));
}

}  // namespace

void pack_block(const BlockInput& in, BlockIQ4_NL& out) {
  uint8_t codes[kGroup];
  out.d = stored_scale(fit_iq4(in.x, in.w).scale);
  encode_iq4(in.x, inverse_of(base::f16_to_float(out.d)), codes);
  pack_nibbles(codes, out.qs);
}

void pack_block(const BlockInput& in, BlockIQ4_XS& out) {
  constexpr int kGroups = 8;
  constexpr Grid kScales{-32, 31};
  float scales[kGroups], weights[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    const ScaleFit fit = fit_iq4(in.x + kGroup * g, in.w + kGroup * g);
    scales[g] = fit.scale;
    weights[g] = fit.weight;
  }
  out = {};
  out.d = stored_scale(fit_scale(scales, weights, kGroups, kScales).scale);
  const float d = base::f16_to_float(out.d);
  for (int g = 0; g < kGroups; ++g) {
    const int scale = nearest_level(scales[g], d, kScales);
    set_scale(out, g, scale);
    uint8_t codes[kGroup];
    encode_iq4(in.x + kGroup * g, inverse_of(d * static_cast<float>(scale)), codes);
    pack_nibbles(codes, out.qs + 16 * g);
  }
}

}  // namespace neuros::kernels
