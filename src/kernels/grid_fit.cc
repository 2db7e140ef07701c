#include "kernels/grid_fit.h"

#include "kernels/lanes.h"

#include <algorithm>
#include <cmath>

namespace neuros::kernels {
namespace {

/// Below this a block counts as zero: every format's scale would round to 0 as binary16.
constexpr float kTiny = 1e-10f;
/// Candidates put the end of the data this many tenths of a level off the end of the grid.
constexpr int kSteps = 9;

struct Range {
  float lowest;
  float highest;
};

Range range_of(const float* x, int n) {
  Lanes low = load(x);
  Lanes high = low;
  for (int i = kLanes; i < n; i += kLanes) {
    low = lower(low, load(x + i));
    high = higher(high, load(x + i));
  }
  return {std::min(std::min(low[0], low[1]), std::min(low[2], low[3])),
          std::max(std::max(high[0], high[1]), std::max(high[2], high[3]))};
}

struct Levels {
  Lanes lowest;
  Lanes highest;

  explicit Levels(Grid grid)
      : lowest(splat(static_cast<float>(grid.lowest))),
        highest(splat(static_cast<float>(grid.highest))) {}
  Lanes nearest(Lanes value) const { return rounded(clamp(value, lowest, highest)); }
};

float inverse_of(float scale) {
  return std::fabs(scale) < 1e-30f ? 0.0f : 1.0f / scale;
}

ScaleFit fit_at(const float* x, const float* w, int n, Grid grid, float inverse) {
  const Levels levels(grid);
  const Lanes factor = splat(inverse);
  Lanes xl{}, ll{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes value = load(x + i);
    const Lanes level = levels.nearest(value * factor);
    const Lanes weighted = load(w + i) * level;
    xl += weighted * value;
    ll += weighted * level;
  }
  const float weight = sum(ll);
  if (!(weight > 0.0f)) return {};
  const float product = sum(xl);
  return {product / weight, product / weight * product, weight};
}

struct AffineSums {
  float l, ll, yl;
};

AffineSums affine_sums(const float* y, const float* w, int n, int highest, float inverse) {
  const Levels levels(Grid{0, highest});
  const Lanes factor = splat(inverse);
  Lanes l{}, ll{}, yl{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes value = load(y + i);
    const Lanes level = levels.nearest(value * factor);
    const Lanes weighted = load(w + i) * level;
    l += weighted;
    ll += weighted * level;
    yl += weighted * value;
  }
  return {sum(l), sum(ll), sum(yl)};
}

/// Least squares of y ~ scale * level + offset with offset <= offset_max, and its gain.
struct Solution {
  float scale = 0.0f;
  float offset = 0.0f;
  float gain = -1.0f;
};

Solution solve(const AffineSums& sums, float sum_w, float sum_y, float offset_max) {
  Solution out;
  const float determinant = sum_w * sums.ll - sums.l * sums.l;
  if (!(determinant > 1e-6f * sum_w * sums.ll)) return out;
  out.scale = (sum_w * sums.yl - sums.l * sum_y) / determinant;
  out.offset = (sums.ll * sum_y - sums.l * sums.yl) / determinant;
  if (out.offset > offset_max) {
    out.offset = offset_max;
    out.scale = (sums.yl - offset_max * sums.l) / sums.ll;
  }
  if (!(out.scale > 0.0f)) return {};
  out.gain = out.scale * (2 * sums.yl - out.scale * sums.ll) +
             out.offset * (2 * sum_y - 2 * out.scale * sums.l - out.offset * sum_w);
  return out;
}

}  // namespace

ScaleFit fit_scale(const float* x, const float* w, int n, Grid grid) {
  const Range range = range_of(x, n);
  const float extreme = range.highest > -range.lowest ? range.highest : range.lowest;
  if (std::fabs(extreme) < kTiny) return {};
  const auto end = static_cast<float>(grid.lowest < 0 ? grid.lowest : grid.highest);
  ScaleFit best{.scale = extreme / end};  // stands if every weight is zero
  for (int step = -kSteps; step <= kSteps; ++step) {
    const float inverse = (end + 0.1f * static_cast<float>(step)) / extreme;
    const ScaleFit fit = fit_at(x, w, n, grid, inverse);
    if (fit.gain > best.gain) best = fit;
  }
  return best;
}

ScaleFit settle_scale(const float* x, const float* w, int n, Grid grid, float first_scale) {
  constexpr int kRounds = 12;
  ScaleFit best;
  float scale = first_scale;
  for (int round = 0; round < kRounds; ++round) {
    const ScaleFit fit = fit_at(x, w, n, grid, inverse_of(scale));
    if (!(fit.gain > best.gain)) break;
    best = fit;
    scale = fit.scale;
  }
  return best;
}

AffineFit fit_affine(const float* x, const float* w, int n, int highest, OffsetSign sign) {
  const Range range = range_of(x, n);
  const bool bounded = sign == OffsetSign::kNotPositive;
  const float base = bounded ? std::min(range.lowest, 0.0f) : range.lowest;
  AffineFit best{.offset = base};
  const float span = range.highest - base;
  float y[256];
  Lanes total{}, weight{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes value = load(x + i) - splat(base);
    store(value, y + i);
    total += load(w + i) * value;
    weight += load(w + i);
  }
  best.offset_weight = sum(weight);
  if (span < kTiny) return best;
  best.scale = span / static_cast<float>(highest);  // stands if every weight is zero
  float best_gain = 0.0f;
  const float offset_max = bounded ? -base : span;
  for (int step = -kSteps; step <= kSteps; ++step) {
    const float inverse = (static_cast<float>(highest) + 0.1f * static_cast<float>(step)) / span;
    const AffineSums sums = affine_sums(y, w, n, highest, inverse);
    const Solution found = solve(sums, sum(weight), sum(total), offset_max);
    if (!(found.gain > best_gain)) continue;
    best_gain = found.gain;
    best.scale = found.scale;
    best.offset = found.offset + base;
    best.scale_weight = sums.ll;
  }
  return best;
}

void encode(const float* x, int n, float scale, float offset, Grid grid, uint8_t* codes) {
  const Levels levels(grid);
  const Lanes factor = splat(inverse_of(scale));
  for (int i = 0; i < n; i += kLanes) {
    const Lanes level = levels.nearest((load(x + i) - splat(offset)) * factor) - levels.lowest;
    for (int j = 0; j < kLanes; ++j)
      codes[i + j] = static_cast<uint8_t>(static_cast<int>(level[j]));
  }
}

int nearest_level(float x, float scale, Grid grid) {
  const float value = std::clamp(x * inverse_of(scale), static_cast<float>(grid.lowest),
                                 static_cast<float>(grid.highest));
  return static_cast<int>(std::nearbyint(value));
}

f16 stored_scale(float scale) {
  constexpr float kLargest = 65504.0f;
  return base::float_to_f16(std::clamp(scale, -kLargest, kLargest));
}

}  // namespace neuros::kernels
