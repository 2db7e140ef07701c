#pragma once

/// How the wgmma kernels cut a launch of products into tiles: as was chosen for it, else by
/// estimates of the time that each way takes. Results do not depend on it (prefill_tile.cuh).

#include "base/dtype.h"

#include <cstdint>

namespace neuros::kernels::cuda::prefill {

/// What is multiplied, all matrices of a launch together.
struct TilingShape {
  base::DType dtype = base::DType::kF32;
  int64_t cols = 0, tokens = 0;
  int64_t row_tiles = 0;  ///< of kTileRows
  int64_t strips = 0;     ///< of half as many rows
};

struct TilingCard {
  int multiprocessors = 0;
  int large_clusters = 0;  ///< of kLargeCluster multiprocessors that there are
  int width = 0;           ///< tokens of a tile; 0: the best
  int cluster = 0;         ///< of 16-bit weights' tiles of the largest width; 0: the best
  bool mixed = false;      ///< both kinds of tiles of the largest width, needed or not
  int chosen = 0;          ///< ChoiceOp::kPrompt of this launch, where width is 0; 0: by estimate
};

struct Tiling {
  int width = 0;
  int64_t cluster = 0;   ///< blocks
  int64_t clusters = 0;  ///< that run at a time
  // As in ProductArgs.
  int64_t wide_row_tiles = 0, wide_tiles = 0;   ///< of quantised weights
  int64_t tall_row_groups = 0, tall_tiles = 0;  ///< of 16-bit weights
  int64_t tiles = 0;
  double cycles = 0.0;
};

Tiling choose_tiling(const TilingCard& card, const TilingShape& shape);

/// The choice that gives this tiling: ChoiceOp::kPrompt.
int choice_of(const TilingShape& shape, const Tiling& tiling);

}  // namespace neuros::kernels::cuda::prefill
