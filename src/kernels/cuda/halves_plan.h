#pragma once

/// How a launch of many_halves.cuh is cut: which rows and columns a block has, and where things lie
/// in its shared memory.

#include "kernels/cuda/many_plan.h"

#include <algorithm>

namespace neuros::kernels::cuda {

inline constexpr int kStripPanelsOfHalves = 4;                     ///< that a warpgroup multiplies
inline constexpr int kHalvesPanelsMax = 4 * kStripPanelsOfHalves;  ///< of a tile
inline constexpr int kHalvesThreadsMax = 4 * 128 + kLanes;         ///< with the warp that feeds

/// Sums of a panel and 64 tokens, in bytes.
inline constexpr int kPanelSumBytes = kPanelRows * kManyTokens * 4;
/// What blocks leave each other in device memory: sums of so many panels, and counts of so many
/// meetings.
inline constexpr int kLeftPanelsMax = 2560;
inline constexpr int kMeetingsMax = 256;

/// A launch's matrices.
struct HalvesProblem {
  int panels;  ///< of one pass
  int passes;  ///< 2: gate and up
  int columns;
  int token_tiles;
};

struct HalvesPlan {
  int split = 1;   ///< blocks that share a tile of rows, each with its part of the columns: 1, 2, 4
  int panels = 1;  ///< of a tile, of one pass

  friend constexpr bool operator==(const HalvesPlan&, const HalvesPlan&) = default;
};

constexpr int halves_warpgroups(int height) {
  return (height + kStripPanelsOfHalves - 1) / kStripPanelsOfHalves;
}
constexpr int halves_tiles(const HalvesProblem& problem, const HalvesPlan& plan) {
  return (problem.panels + plan.panels - 1) / plan.panels;
}

/// Whether a plan is one: where blocks share tiles each has one, so that what it leaves the others
/// stays until they have taken it.
constexpr bool is_possible(const HalvesProblem& problem, const HalvesPlan& plan, int blocks) {
  const bool splits = plan.split == 1 || plan.split == 2 || plan.split == 4;
  const int height = plan.panels * problem.passes;
  if (!splits || plan.panels < 1 || height > kHalvesPanelsMax) return false;
  const int tiles = halves_tiles(problem, plan);
  if (plan.split > 1 && tiles * plan.split > blocks) return false;
  const int left = std::min(blocks, tiles * plan.split) * halves_warpgroups(height);
  return left * kStripPanelsOfHalves <= kLeftPanelsMax &&
         (plan.split == 1 || tiles <= kMeetingsMax);
}

/// What a plan takes, in clocks of a multiprocessor. Weights come at 17 bytes a clock where all
/// blocks read, at 24 at most; with tokens and sums, through L2, at 28. A chunk takes a warpgroup
/// some 400, however few panels it has. Ends and meetings as measured.
constexpr double halves_cost(const HalvesProblem& problem, const HalvesPlan& plan, int blocks) {
  const int tiles = halves_tiles(problem, plan), height = plan.panels * problem.passes;
  const int rounds = (tiles * plan.split + blocks - 1) / blocks;
  const double columns = double(problem.columns) / plan.split;
  const double weights = height * kPanelRows * columns * 2;
  const double tokens = problem.token_tiles * kTileTokens * columns * 2;
  const double all = double(problem.panels) * problem.passes * kPanelRows * problem.columns * 2;
  const double streaming = std::max(rounds * weights / 24, all / (17.0 * blocks));
  const double passing = rounds * (weights + tokens + 2 * height * kPanelSumBytes) / 28;
  const double multiplying = rounds * columns / kHalfChunkColumns * 400;
  return std::max({streaming, passing, multiplying}) + rounds * 1000 + (plan.split > 1 ? 2500 : 0);
}

constexpr HalvesPlan best_halves_plan(const HalvesProblem& problem, int blocks) {
  HalvesPlan best;
  double best_cost = 0;
  for (const int split : {1, 2, 4}) {
    for (int panels = 1; panels * problem.passes <= kHalvesPanelsMax; ++panels) {
      const HalvesPlan plan{.split = split, .panels = panels};
      if (!is_possible(problem, plan, blocks)) continue;
      const double cost = halves_cost(problem, plan, blocks);
      if (best_cost == 0 || cost < best_cost) best = plan, best_cost = cost;
    }
  }
  return best;
}

/// As a value of kernel_choices.h, and back; a value that is none gives no possible plan.
constexpr int halves_choice(const HalvesPlan& plan) {
  return plan.split * 100 + plan.panels;
}
constexpr HalvesPlan plan_of_choice(int value) {
  return {.split = value / 100, .panels = value % 100};
}

/// Shared memory of a block, in bytes: barriers, the ring, the sums. Warpgroups read their operands
/// whole, beyond what there is of panels and tokens: no further than into the sums.
struct HalvesShared {
  static constexpr int kSlotsMax = 16;
  static constexpr int kWord = 16 * kSlotsMax;  ///< that tells all threads something
  static constexpr int kRing = 1024;
  static_assert(kWord + 4 <= kRing);

  int tokens = 0;  ///< where they lie in a slot, behind the weights
  int slot_bytes = 0;
  int slots = 0;
  int sums = 0;
  int token_floats = 0;  ///< from the sums of a token to the next one's, as they are written
  int end = 0;
};
/// `height`: panels of a tile, of both passes.
constexpr HalvesShared halves_shared(int height, int token_tiles, int shared_bytes_max) {
  HalvesShared shared{.tokens = height * kHalfChunkBytes};
  shared.slot_bytes = shared.tokens + token_tiles * kHalfRowsBytes;
  shared.token_floats = height * kPanelRows + 4;  // the lanes of a warp write to different banks
  const int kept = halves_warpgroups(height) * kStripPanelsOfHalves * kPanelSumBytes;
  const int sum_bytes = std::max(kept, kManyTokens * shared.token_floats * 4);
  const int room = (shared_bytes_max - HalvesShared::kRing - sum_bytes) / shared.slot_bytes;
  shared.slots = std::min(room, HalvesShared::kSlotsMax);
  shared.sums = HalvesShared::kRing + shared.slots * shared.slot_bytes;
  shared.end = shared.sums + sum_bytes;
  return shared;
}

}  // namespace neuros::kernels::cuda
