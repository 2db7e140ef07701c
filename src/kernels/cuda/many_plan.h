#pragma once

/// How a launch of decode_many.cuh cuts its rows into tiles, and its shared memory.

#include "kernels/cuda/activation_pieces.h"

#include <algorithm>

namespace neuros::kernels::cuda {

inline constexpr int kManyBlocks = 4;  ///< of a cluster: one for each quarter of the columns
inline constexpr int kManyTilePanels = 8;

/// What a kind of weights asks for.
struct ManyShape {
  int warps;
  int streams;       ///< of activations side by side in a block: one for each group, or one
  int warp_panels;   ///< that a warp has at a time
  int equal_panels;  ///< a tile takes no longer with panels up to a multiple of it
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

/// Groups of a stream of a quarter.
struct GroupRange {
  int first, end;
};
constexpr GroupRange stream_groups(const ManyColumns& columns, int quarter, int stream,
                                   int streams) {
  const int first = columns.first_group(quarter), end = columns.first_group(quarter + 1);
  if (streams == 1) return {first, end};
  return {std::min(first + stream, end), std::min(first + stream + 1, end)};
}

/// The most chunks of a stream of any quarter.
constexpr int stream_chunks_max(const ManyColumns& columns, int streams) {
  int most = 0;
  for (int i = 0; i < kManyBlocks * streams; ++i) {
    const GroupRange groups = stream_groups(columns, i / streams, i % streams, streams);
    most = std::max(most, columns.first(groups.end) - columns.first(groups.first));
  }
  return most;
}

/// ManyShape::equal_panels: of 16-bit weights, and of quantised ones, a panel for each scheduler.
inline constexpr int kEqualPanelsOfHalves = 1, kEqualPanelsOfBlocks = 4;

/// Panels of a tile: so many that the clusters are busy to the end, and as many as then possible.
/// A tile costs its panels and, for its start and end, about one more.
constexpr int tile_panels(int panels, int clusters, int equal_panels) {
  int best = kManyTilePanels;
  int64_t best_cost = INT64_MAX;
  for (int height = kManyTilePanels; height >= 1; --height) {
    const int64_t tiles = (panels + height - 1) / height;
    const int64_t rounds = (tiles + clusters - 1) / clusters;
    const int64_t cost = rounds * (round_up(height, equal_panels) + 1);
    if (cost < best_cost) best = height, best_cost = cost;
  }
  return best;
}

/// Shared memory of a block, in bytes: barriers, its quarter's sums, rings of weights, activations.
struct ManyShared {
  static constexpr int kSlotsMax = 30;    ///< of a stream
  static constexpr int kSumBarriers = 0;  ///< two for each panel of a tile, at most
  static constexpr int kBarriers = 2 * kManyTilePanels * 8;
  static constexpr int kSums = 2048;
  static_assert(kBarriers + 4 * kSlotsMax * 16 <= kSums);
  static constexpr int kRings = kSums + kManyTilePanels * kManyTiles * kLanes * 16;

  int pieces = 0;  ///< where they start
  int piece_bytes = 0;
  int slots = 0;  ///< of a stream
  int end = 0;
};
constexpr ManyShared many_shared(const ManyShape& shape, const ManyColumns& columns,
                                 int piece_bytes, int shared_bytes_max) {
  ManyShared shared{.pieces = ManyShared::kRings + shape.warps * shape.ring_bytes,
                    .piece_bytes = piece_bytes};
  const int room = (shared_bytes_max - shared.pieces) / (shape.streams * piece_bytes);
  const int most = stream_chunks_max(columns, shape.streams) * shape.chunk_pieces;
  shared.slots = std::max(1, std::min({most, room, ManyShared::kSlotsMax}));
  shared.end = shared.pieces + shape.streams * shared.slots * piece_bytes;
  return shared;
}

}  // namespace neuros::kernels::cuda
