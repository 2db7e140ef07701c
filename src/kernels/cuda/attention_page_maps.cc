#include "kernels/cuda/attention_page_maps.h"

#include "kernels/cuda/device_traits.h"

namespace neuros::kernels::cuda {
namespace {

/// How many pages there are does not matter here: those that rows have exist.
constexpr int64_t kItems = INT32_MAX;

TensorBoxes key_boxes(const AttentionView& view) {
  const int64_t elements = view.head_bytes / 2;
  const int rows = static_cast<int>(elements / kBoxColumns);
  return {.data = view.layer,
          .cols = kBoxColumns,
          .rows = rows,
          .items = kItems,
          .stride = kBoxColumns,
          .item_stride = elements,
          .box_cols = kBoxColumns,
          .box_rows = rows};
}

TensorBoxes value_boxes(const AttentionView& view) {
  return {.data = view.layer,
          .cols = view.head_dim,
          .rows = view.page_tokens,
          .items = kItems,
          .stride = view.head_dim,
          .item_stride = view.head_bytes / 2,
          .box_cols = kBoxColumns,
          .box_rows = view.page_tokens};
}

}  // namespace

bool can_map_pages(const AttentionView& view) {
  return device_traits().wgmma && view.window == 0 && view.page_tokens == kMappedPageTokens &&
         view.head_dim % kBoxColumns == 0 && can_map(key_boxes(view)) && can_map(value_boxes(view));
}

PageMaps page_maps(const AttentionView& view) {
  constexpr int kRank = 3;
  return {.keys = tensor_map(key_boxes(view), kRank),
          .values = tensor_map(value_boxes(view), kRank),
          .page_items = static_cast<int32_t>(view.page_bytes / view.head_bytes)};
}

}  // namespace neuros::kernels::cuda
