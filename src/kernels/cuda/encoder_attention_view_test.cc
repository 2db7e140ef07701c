#include "kernels/cuda/encoder_attention_view.h"

#include <algorithm>
#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

TEST(EncoderTile, TilesCoverEveryQueryOfEveryHeadOnce) {
  EncoderView view{.heads = 3, .items = 5};
  const int32_t lengths[]{0, 1, 191, 192, 400};
  view.starts[0] = 7;
  for (int32_t item = 0; item < view.items; ++item) {
    view.starts[item + 1] = view.starts[item] + lengths[item];
  }
  for (const int32_t tile_rows : {4, 192}) {
    const int32_t count = EncoderTile::count(view, tile_rows);
    std::set<std::pair<int32_t, int32_t>> seen;  // row, head
    for (int32_t index = 0; index < count; ++index) {
      const EncoderTile tile = EncoderTile::find(view, index, tile_rows);
      ASSERT_TRUE(tile.exists());
      ASSERT_LT(tile.first, tile.item_rows);
      for (int32_t row = tile.first; row < std::min(tile.first + tile_rows, tile.item_rows);
           ++row) {
        EXPECT_TRUE(seen.emplace(tile.item_row + row, tile.head).second);
      }
    }
    EXPECT_EQ(seen.size(), 3u * (1 + 191 + 192 + 400));
    EXPECT_FALSE(EncoderTile::find(view, count, tile_rows).exists());
  }
}

}  // namespace
}  // namespace neuros::kernels::cuda
