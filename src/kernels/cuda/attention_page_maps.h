#pragma once

/// Tensor maps of the pages of keys and values, for decode attention on Hopper: a head's keys and
/// values of a page come by a few copies of boxes.

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/tensor_map.h"

namespace neuros::kernels::cuda {

/// Positions of the pages that there are maps for: those that the Builder plans.
inline constexpr int kMappedPageTokens = 32;
/// Elements of a box's rows.
inline constexpr int kBoxColumns = 64;

/// An item of a map is what a head has of keys, or of values, of a page and layer. The items of
/// page p start with item p * page_items: the keys of all KV heads of the layer, then the values.
struct PageMaps {
  CUtensorMap keys{};    ///< boxes of a whole item, as rows of 64 elements
  CUtensorMap values{};  ///< boxes of 64 dimensions of all positions
  int32_t page_items = 0;
};

/// Whether this device has them and these pages can be mapped. Rows see all positions: with a
/// window splits may start inside of a page.
bool can_map_pages(const AttentionView& view);
PageMaps page_maps(const AttentionView& view);

}  // namespace neuros::kernels::cuda
