#pragma once

/// How a launch of decode_many.cuh cuts its rows into tiles and its columns into quarters, and its
/// shared memory.

#include "kernels/cuda/activation_pieces.h"

#include <algorithm>

namespace neuros::kernels::cuda {

inline constexpr int kManyBlocks = 4;      ///< of a cluster: one for each quarter of the columns
inline constexpr int kManyTilePanels = 8;  ///< and warps: each has a panel
/// A tile takes no longer with panels up to a multiple of it: there is a panel for each scheduler.
inline constexpr int kEqualPanels = 4;

/// What a type of weights asks for.
struct ManyShape {
  int ring_bytes;    ///< of a warp
  int chunk_pieces;  ///< pieces of activations to a chunk of weights
};

/// Columns of a row in chunks, cut into groups.
struct ManyColumns {
  int chunks = 0;
  int groups = 0;

  constexpr int first(int group) const { return group * chunks / groups; }
  /// Groups [first_group(q), first_group(q + 1)) are quarter q.
  constexpr int first_group(int quarter) const { return quarter * groups / kManyBlocks; }
};

/// The most chunks of a quarter.
constexpr int quarter_chunks_max(const ManyColumns& columns) {
  int most = 0;
  for (int i = 0; i < kManyBlocks; ++i) {
    const int first = columns.first(columns.first_group(i));
    most = std::max(most, columns.first(columns.first_group(i + 1)) - first);
  }
  return most;
}

/// Panels of a tile: so many that the clusters are busy to the end, and as many as then possible.
/// A tile costs its panels and, for its start and end, about one more.
constexpr int tile_panels(int panels, int clusters) {
  int best = kManyTilePanels;
  int64_t best_cost = INT64_MAX;
  for (int height = kManyTilePanels; height >= 1; --height) {
    const int64_t tiles = (panels + height - 1) / height;
    const int64_t rounds = (tiles + clusters - 1) / clusters;
    const int64_t cost = rounds * (round_up(height, kEqualPanels) + 1);
    if (cost < best_cost) best = height, best_cost = cost;
  }
  return best;
}

/// Shared memory of a block, in bytes: barriers, its quarter's sums, rings of weights, activations.
struct ManyShared {
  static constexpr int kSlotsMax = 120;
  static constexpr int kSumBarriers = 0;  ///< two for each panel of a tile
  static constexpr int kBarriers = 2 * kManyTilePanels * 8;
  static constexpr int kSums = 2048;
  static_assert(kBarriers + kSlotsMax * 16 <= kSums);
  static constexpr int kRings = kSums + kManyTilePanels * kManyTiles * kLanes * 16;

  int pieces = 0;  ///< where they start
  int piece_bytes = 0;
  int slots = 0;  ///< of pieces
  int end = 0;
};
constexpr ManyShared many_shared(const ManyShape& shape, const ManyColumns& columns,
                                 int piece_bytes, int shared_bytes_max) {
  ManyShared shared{.pieces = ManyShared::kRings + kManyTilePanels * shape.ring_bytes,
                    .piece_bytes = piece_bytes};
  const int room = (shared_bytes_max - shared.pieces) / piece_bytes;
  const int most = quarter_chunks_max(columns) * shape.chunk_pieces;
  shared.slots = std::max(1, std::min({most, room, ManyShared::kSlotsMax}));
  shared.end = shared.pieces + shared.slots * piece_bytes;
  return shared;
}

}  // namespace neuros::kernels::cuda
