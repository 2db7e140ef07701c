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

/// A warp's share of the weights, tile after tile: units [first, last) of its panels in turn.
template <typename Product>
class PanelWalk {
 public:
  __device__ PanelWalk(const ManyParameters& p, int first_panel, int first, int last)
      : p_(p), first_panel_(first_panel), first_(first), count_(last - first) {
    if (count_ > 0) enter_tile();
  }

  __device__ __forceinline__ const std::byte* chunk(int i, int& /*bytes*/) const {
    return panels_[i] == nullptr ? nullptr : panels_[i] + Product::unit_offset(unit_);
  }
  static __device__ __forceinline__ int offset(int at) { return Product::offset_in_unit(at); }
  __device__ __forceinline__ void advance() {
    if (left_ == 0) return;
    ++unit_;
    if (--left_ > 0) return;
    ++index_;
    enter_tile();
  }

 private:
  static constexpr int kPanels = Product::kShape.warp_panels;

  __device__ void enter_tile() {
    const RowTile tile = tile_at(p_, index_);
    left_ = tile.panels > 0 ? count_ : 0;
    unit_ = first_;
#pragma unroll
    for (int i = 0; i < kPanels; ++i) {
      panels_[i] = nullptr;
      if (first_panel_ + i >= tile.panels) continue;
      const TaskPanel at = task_panel(p_.of, tile.pass, tile.first_panel + first_panel_ + i);
      panels_[i] = p_.of.tasks[at.task].weight + at.panel * p_.of.panel_bytes;
    }
  }

  const ManyParameters& p_;
  int first_panel_;  ///< of the tile
  int first_, count_;
  int index_ = 0;                       ///< of the tile
  int left_ = 0;                        ///< units of the tile from here on
  int unit_ = 0;                        ///< of the panels
  const std::byte* panels_[kPanels]{};  ///< null where there is none
};

}  // namespace neuros::kernels::cuda
