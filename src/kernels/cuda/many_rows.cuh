#pragma once

/// The rows that a cluster of decode_many.cuh goes through, tile after tile, and the order in which
/// a warp reads their weights.

#include "kernels/cuda/decode_task.cuh"
#include "kernels/cuda/many_plan.h"

namespace neuros::kernels::cuda {

struct ManyParameters {
  DecodeParameters of;
  ManyColumns columns;
  ManyShared shared;
  int tile_panels = 0;
  int tiles = 0;  ///< of one pass
  int token_tiles = 0;
};

/// A tile of rows of one pass.
struct RowTile {
  int pass = 0;
  int first_panel = 0;
  int panels = 0;  ///< 0: there are no more
};
__device__ __forceinline__ RowTile tile_at(const ManyParameters& p, int index) {
  const int clusters = static_cast<int>(gridDim.x) / kManyBlocks;
  const int in_pass = p.of.passes == 2 ? index / 2 : index;
  const int first =
      (static_cast<int>(blockIdx.x) / kManyBlocks + in_pass * clusters) * p.tile_panels;
  return {p.of.passes == 2 ? index % 2 : 0, first, max(0, min(p.tile_panels, p.of.panels - first))};
}
/// All of this cluster.
__device__ __forceinline__ int tile_count(const ManyParameters& p) {
  const int clusters = static_cast<int>(gridDim.x) / kManyBlocks;
  const int first = static_cast<int>(blockIdx.x) / kManyBlocks;
  return first < p.tiles ? (p.tiles - first + clusters - 1) / clusters * p.of.passes : 0;
}

/// A warp's share of the weights, tile after tile: chunks [first, last) of its panel.
template <int kChunkBytes>
class PanelWalk {
 public:
  /// `place`: of the warp's panel in a tile.
  __device__ PanelWalk(const ManyParameters& p, int place, int first, int last)
      : p_(p), place_(place), first_(first), count_(last - first) {
    if (count_ > 0) enter_tile();
  }

  __device__ __forceinline__ const std::byte* chunk(int& /*bytes*/) const {
    return panel_ == nullptr ? nullptr : panel_ + int64_t{chunk_} * kChunkBytes;
  }
  __device__ __forceinline__ void advance() {
    if (left_ == 0) return;
    ++chunk_;
    if (--left_ > 0) return;
    ++index_;
    enter_tile();
  }

 private:
  __device__ void enter_tile() {
    const RowTile tile = tile_at(p_, index_);
    left_ = tile.panels > 0 ? count_ : 0;
    chunk_ = first_;
    panel_ = nullptr;
    if (place_ >= tile.panels) return;
    const TaskPanel at = task_panel(p_.of, tile.pass, tile.first_panel + place_);
    panel_ = p_.of.tasks[at.task].weight + at.panel * p_.of.panel_bytes;
  }

  const ManyParameters& p_;
  int place_;
  int first_, count_;
  int index_ = 0;                     ///< of the tile
  int left_ = 0;                      ///< chunks of the tile from here on
  int chunk_ = 0;                     ///< of the panel
  const std::byte* panel_ = nullptr;  ///< null where there is none
};

}  // namespace neuros::kernels::cuda
