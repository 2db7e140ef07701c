#pragma once

/// Weighted least-squares fits of a few floats to a grid of integer levels: the searches behind
/// quantise(). x and w hold n values, n a multiple of 4; x finite, w >= 0.

#include "kernels/blocks.h"

#include <cstdint>

namespace neuros::kernels {

/// Levels lowest..highest, 0 among them.
struct Grid {
  int lowest = 0;
  int highest = 0;
};

/// x ~ scale * level.
struct ScaleFit {
  float scale = 0.0f;
  float gain = 0.0f;    ///< how much of sum(w x^2) the fit explains
  float weight = 0.0f;  ///< sum(w level^2): what an error of the scale costs
};

/// The best of some twenty scales around the one that puts the largest value on the grid's end.
ScaleFit fit_scale(const float* x, const float* w, int n, Grid grid);

/// Alternates between nearest levels and best scale from a first scale until it settles.
ScaleFit settle_scale(const float* x, const float* w, int n, Grid grid, float first_scale);

/// x ~ scale * level + offset, levels 0..highest, scale >= 0.
struct AffineFit {
  float scale = 0.0f;
  float offset = 0.0f;
  float scale_weight = 0.0f;   ///< sum(w level^2)
  float offset_weight = 0.0f;  ///< sum(w)
};

enum class OffsetSign { kAny, kNotPositive };

AffineFit fit_affine(const float* x, const float* w, int n, int highest, OffsetSign sign);

/// codes[i] = the level nearest to (x[i] - offset) / scale, less grid.lowest. Scale 0 gives level
/// 0.
void encode(const float* x, int n, float scale, float offset, Grid grid, uint8_t* codes);

/// One value's level.
int nearest_level(float x, float scale, Grid grid);

/// The scale as the formats store it: nearest, but never infinite.
f16 stored_scale(float scale);

}  // namespace neuros::kernels
