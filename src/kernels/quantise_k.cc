/// Q2_K to Q6_K: blocks of 256 whose groups of 16 or 32 have scales that are quantised themselves.
/// Each group is fitted alone, the fitted scales are fitted to their own grid, then the block's
/// scale is solved once more for the codes that resulted.

#include "kernels/grid_fit.h"
#include "kernels/lanes.h"
#include "kernels/pack_block.h"

#include <algorithm>
#include <cstring>

namespace neuros::kernels {
namespace {

constexpr int kElements = 256;
constexpr int kGroupsMax = 16;

struct GroupGrid {
  int groups;   ///< of 256 / groups elements
  Grid levels;  ///< of elements
  Grid scales;  ///< of group scales (and minima)
  int elements() const { return kElements / groups; }
};

struct CodedBlock {
  f16 d = 0;
  f16 dmin = 0;
  int scales[kGroupsMax] = {};
  int minima[kGroupsMax] = {};
  uint8_t codes[kElements] = {};
};

/// --- value = d * scale[g] * level ---

void encode_scaled(const BlockInput& in, const GroupGrid& grid, CodedBlock& block) {
  const float d = base::f16_to_float(block.d);
  const int n = grid.elements();
  for (int g = 0; g < grid.groups; ++g) {
    const float scale = d * static_cast<float>(block.scales[g]);
    encode(in.x + g * n, n, scale, 0.0f, grid.levels, block.codes + g * n);
  }
}

/// The d that suits the codes best.
float solve_scaled(const BlockInput& in, const GroupGrid& grid, const CodedBlock& block) {
  const int n = grid.elements();
  float xa = 0.0f, aa = 0.0f;
  for (int i = 0; i < kElements; ++i) {
    const auto a = static_cast<float>(block.scales[i / n] * (block.codes[i] + grid.levels.lowest));
    xa += in.w[i] * in.x[i] * a;
    aa += in.w[i] * a * a;
  }
  return aa > 0.0f ? xa / aa : base::f16_to_float(block.d);
}

CodedBlock code_scaled(const BlockInput& in, const GroupGrid& grid) {
  CodedBlock block;
  float scales[kGroupsMax], weights[kGroupsMax];
  const int n = grid.elements();
  for (int g = 0; g < grid.groups; ++g) {
    const ScaleFit fit = fit_scale(in.x + g * n, in.w + g * n, n, grid.levels);
    scales[g] = fit.scale;
    weights[g] = fit.weight;
  }
  block.d = stored_scale(fit_scale(scales, weights, grid.groups, grid.scales).scale);
  const float d = base::f16_to_float(block.d);
  for (int g = 0; g < grid.groups; ++g) block.scales[g] = nearest_level(scales[g], d, grid.scales);
  encode_scaled(in, grid, block);
  block.d = stored_scale(solve_scaled(in, grid, block));
  encode_scaled(in, grid, block);
  return block;
}

/// --- value = d * scale[g] * level - dmin * minimum[g] ---

void encode_affine(const BlockInput& in, const GroupGrid& grid, CodedBlock& block) {
  const float d = base::f16_to_float(block.d);
  const float dmin = base::f16_to_float(block.dmin);
  const int n = grid.elements();
  for (int g = 0; g < grid.groups; ++g) {
    const float scale = d * static_cast<float>(block.scales[g]);
    const float offset = -dmin * static_cast<float>(block.minima[g]);
    encode(in.x + g * n, n, scale, offset, grid.levels, block.codes + g * n);
  }
}

/// The d and dmin that suit the codes best.
void solve_affine(const BlockInput& in, const GroupGrid& grid, CodedBlock& block) {
  const int n = grid.elements();
  float aa = 0.0f, ab = 0.0f, bb = 0.0f, xa = 0.0f, xb = 0.0f;
  for (int g = 0; g < grid.groups; ++g) {
    Lanes ll{}, l{}, w1{}, xl{}, x1{};
    for (int i = g * n; i < (g + 1) * n; i += kLanes) {
      const Lanes w = load(in.w + i), x = load(in.x + i);
      const uint8_t* c = block.codes + i;
      const Lanes level{static_cast<float>(c[0]), static_cast<float>(c[1]),
                        static_cast<float>(c[2]), static_cast<float>(c[3])};
      w1 += w;
      l += w * level;
      ll += w * level * level;
      x1 += w * x;
      xl += w * x * level;
    }
    const auto scale = static_cast<float>(block.scales[g]);
    const auto minimum = static_cast<float>(-block.minima[g]);
    aa += scale * scale * sum(ll);
    ab += scale * minimum * sum(l);
    bb += minimum * minimum * sum(w1);
    xa += scale * sum(xl);
    xb += minimum * sum(x1);
  }
  const float determinant = aa * bb - ab * ab;
  if (!(determinant > 1e-5f * aa * bb)) return;
  const float d = (bb * xa - ab * xb) / determinant;
  const float dmin = (aa * xb - ab * xa) / determinant;
  if (!(d > 0.0f && dmin > 0.0f)) return;
  block.d = stored_scale(d);
  block.dmin = stored_scale(dmin);
}

CodedBlock code_affine(const BlockInput& in, const GroupGrid& grid) {
  CodedBlock block;
  float scales[kGroupsMax], scale_weights[kGroupsMax];
  float minima[kGroupsMax], minimum_weights[kGroupsMax];
  const int n = grid.elements();
  for (int g = 0; g < grid.groups; ++g) {
    const AffineFit fit =
        fit_affine(in.x + g * n, in.w + g * n, n, grid.levels.highest, OffsetSign::kNotPositive);
    scales[g] = fit.scale;
    scale_weights[g] = fit.scale_weight;
    minima[g] = std::max(-fit.offset, 0.0f);
    minimum_weights[g] = fit.offset_weight;
  }
  block.d = stored_scale(fit_scale(scales, scale_weights, grid.groups, grid.scales).scale);
  block.dmin = stored_scale(fit_scale(minima, minimum_weights, grid.groups, grid.scales).scale);
  const float d = base::f16_to_float(block.d);
  const float dmin = base::f16_to_float(block.dmin);
  for (int g = 0; g < grid.groups; ++g) {
    block.scales[g] = nearest_level(scales[g], d, grid.scales);
    block.minima[g] = nearest_level(minima[g], dmin, grid.scales);
  }
  encode_affine(in, grid, block);
  solve_affine(in, grid, block);
  encode_affine(in, grid, block);
  return block;
}

/// --- where the bits go (kernels/blocks.h) ---

/// Bits [low_bit, low_bit + 2) of each code: byte i of a half holds elements i + 32 k.
void pack_pairs(const uint8_t* codes, int low_bit, uint8_t* out) {
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 32; ++i) {
      const uint8_t* c = codes + 128 * half + i;
      const auto bits = [&](int k) { return (c[32 * k] >> low_bit) & 3; };
      out[32 * half + i] =
          static_cast<uint8_t>(bits(0) | (bits(1) << 2) | (bits(2) << 4) | (bits(3) << 6));
    }
  }
}

/// Bit `bit` of element e of 256 at bit e / 32 of byte e % 32.
void pack_single_bits(const uint8_t* codes, int bit, uint8_t* out) {
  std::memset(out, 0, 32);
  for (int e = 0; e < kElements; ++e) {
    out[e % 32] = static_cast<uint8_t>(out[e % 32] | (((codes[e] >> bit) & 1) << (e / 32)));
  }
}

/// The low nibbles of `2 * run` elements per `run` bytes.
void pack_nibbles(const uint8_t* codes, int run, uint8_t* out) {
  for (int start = 0; start < kElements / 2; start += run) {
    const uint8_t* c = codes + 2 * start;
    for (int i = 0; i < run; ++i) {
      out[start + i] = static_cast<uint8_t>((c[i] & 15) | ((c[i + run] & 15) << 4));
    }
  }
}

/// The inverse of scale_min_k().
void pack_scales_and_minima(const CodedBlock& block, uint8_t* out) {
  for (int g = 0; g < 4; ++g) {
    const int scale = block.scales[g + 4], minimum = block.minima[g + 4];
    out[g] = static_cast<uint8_t>(block.scales[g] | ((scale >> 4) << 6));
    out[g + 4] = static_cast<uint8_t>(block.minima[g] | ((minimum >> 4) << 6));
    out[g + 8] = static_cast<uint8_t>((scale & 15) | ((minimum & 15) << 4));
  }
}

/// The inverse of scale_q3_k().
void pack_scales_q3(const int* scales, uint8_t* out) {
  std::memset(out, 0, 12);
  for (int g = 0; g < 16; ++g) {
    const int code = scales[g] + 32;
    out[g % 8] = static_cast<uint8_t>(out[g % 8] | ((code & 15) << (4 * (g / 8))));
    out[8 + g % 4] = static_cast<uint8_t>(out[8 + g % 4] | ((code >> 4) << (2 * (g / 4))));
  }
}

}  // namespace

void pack_block(const BlockInput& in, BlockQ2_K& out) {
  const CodedBlock block = code_affine(in, {16, {0, 3}, {0, 15}});
  out.d = block.d;
  out.dmin = block.dmin;
  for (int g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<uint8_t>(block.scales[g] | (block.minima[g] << 4));
  }
  pack_pairs(block.codes, 0, out.qs);
}

void pack_block(const BlockInput& in, BlockQ3_K& out) {
  const CodedBlock block = code_scaled(in, {16, {-4, 3}, {-32, 31}});
  out.d = block.d;
  pack_scales_q3(block.scales, out.scales);
  pack_pairs(block.codes, 0, out.qs);
  pack_single_bits(block.codes, 2, out.hmask);
}

void pack_block(const BlockInput& in, BlockQ4_K& out) {
  const CodedBlock block = code_affine(in, {8, {0, 15}, {0, 63}});
  out.d = block.d;
  out.dmin = block.dmin;
  pack_scales_and_minima(block, out.scales);
  pack_nibbles(block.codes, 32, out.qs);
}

void pack_block(const BlockInput& in, BlockQ5_K& out) {
  const CodedBlock block = code_affine(in, {8, {0, 31}, {0, 63}});
  out.d = block.d;
  out.dmin = block.dmin;
  pack_scales_and_minima(block, out.scales);
  pack_nibbles(block.codes, 32, out.qs);
  pack_single_bits(block.codes, 4, out.qh);
}

void pack_block(const BlockInput& in, BlockQ6_K& out) {
  const CodedBlock block = code_scaled(in, {16, {-32, 31}, {-128, 127}});
  out.d = block.d;
  for (int g = 0; g < 16; ++g) out.scales[g] = static_cast<int8_t>(block.scales[g]);
  pack_nibbles(block.codes, 64, out.ql);
  pack_pairs(block.codes, 4, out.qh);
}

}  // namespace neuros::kernels
