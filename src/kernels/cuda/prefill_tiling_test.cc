#include "kernels/cuda/prefill_tiling.h"

#include "kernels/cuda/prefill_product.h"

#include <gtest/gtest.h>

namespace neuros::kernels::cuda::prefill {
namespace {

using base::DType;

constexpr TilingCard kPairs{.multiprocessors = 132};
constexpr TilingCard kH200{.multiprocessors = 132, .large_clusters = 32};

TilingShape shape_of(DType dtype, int64_t rows, int64_t cols, int64_t tokens) {
  return {.dtype = dtype,
          .cols = cols,
          .tokens = tokens,
          .row_tiles = (rows + 127) / 128,
          .strips = (rows + 63) / 64};
}

/// Strips that the tiles of a tiling have, times token tiles.
int64_t strips_of(const Tiling& tiling) {
  return 2 * (kTallStrips * tiling.tall_tiles + kLowStrips * (tiling.tiles - tiling.tall_tiles));
}

TEST(PrefillTiling, FillsOneRoundWithTallTiles) {
  // 6144 rows are 48 tiles of 128, by four of 256 tokens one and a half rounds; 32 of 192.
  const Tiling tiling = choose_tiling(kPairs, shape_of(DType::kBF16, 6144, 4096, 1024));
  EXPECT_EQ(tiling.width, 256);
  EXPECT_EQ(tiling.tall_row_groups, 16);
  EXPECT_EQ(tiling.tall_tiles, 64);
  EXPECT_EQ(tiling.tiles, 64);
}

TEST(PrefillTiling, LeavesTheRestOfRoundsToLowTiles) {
  // 448 strips by four token tiles: four rounds of three strips and one of two.
  const Tiling tiling = choose_tiling(kPairs, shape_of(DType::kBF16, 28672, 4096, 1024));
  EXPECT_EQ(tiling.tall_tiles, 264);
  EXPECT_EQ(tiling.tiles, 264 + 52);
  EXPECT_EQ(strips_of(tiling), 448 * 4);
}

TEST(PrefillTiling, KeepsToLowTilesWhereTheyFillTheChip) {
  for (const int64_t cols : {4096, 14336}) {
    const Tiling tiling = choose_tiling(kPairs, shape_of(DType::kF16, 4096, cols, 1024));
    EXPECT_EQ(tiling.width, 256);
    EXPECT_EQ(tiling.tall_tiles, 0);
    EXPECT_EQ(tiling.tiles, 64);
  }
}

TEST(PrefillTiling, TakesLargeClustersWhereTheyAreAsManyTurns) {
  for (const int64_t rows : {4096, 6144, 28672}) {
    const Tiling tiling = choose_tiling(kH200, shape_of(DType::kBF16, rows, 4096, 1024));
    EXPECT_EQ(tiling.cluster, kLargeCluster);
    EXPECT_EQ(tiling.clusters, 32);
    const int64_t low = tiling.tiles - tiling.tall_tiles;
    EXPECT_EQ(kLargeCluster * (kTallStrips * tiling.tall_tiles + kLowStrips * low), rows / 64 * 4);
  }
  // 30 of them would need a second turn for 32 tiles.
  const TilingCard fewer{.multiprocessors = 132, .large_clusters = 30};
  EXPECT_EQ(choose_tiling(fewer, shape_of(DType::kBF16, 4096, 4096, 1024)).cluster, 2);
}

TEST(PrefillTiling, CoversEveryStripOnce) {
  for (int64_t rows = 1; rows < 9000; rows = rows * 5 / 4 + 13) {
    for (const int64_t tokens : {1, 64, 65, 130, 300, 1000, 5000}) {
      for (const int forced : {0, 2, 4}) {
        const TilingShape shape = shape_of(DType::kBF16, rows, 1024, tokens);
        const TilingCard card{.multiprocessors = 132,
                              .large_clusters = 32,
                              .width = forced > 0 ? 256 : 0,
                              .cluster = forced,
                              .mixed = forced > 0};
        const Tiling tiling = choose_tiling(card, shape);
        const int64_t token_tiles = (tokens - 1) / tiling.width + 1;
        const int64_t cluster = tiling.cluster;
        const int64_t tall = tiling.tall_tiles / token_tiles;
        const int64_t low = (tiling.tiles - tiling.tall_tiles) / token_tiles;
        EXPECT_EQ(tall, tiling.tall_row_groups);
        EXPECT_EQ((tall + low) * token_tiles, tiling.tiles);
        const int64_t covered = cluster * (tall * kTallStrips + low * kLowStrips);
        EXPECT_GE(covered, shape.strips);
        EXPECT_LT(covered - shape.strips, cluster * kTallStrips);
      }
    }
  }
}

TEST(PrefillTiling, HalvesTheLastRoundOfQuantisedWeights) {
  const Tiling tiling = choose_tiling(kH200, shape_of(DType::kQ4_K, 6144, 4096, 1024));
  EXPECT_EQ(tiling.width, 256);
  EXPECT_EQ(tiling.wide_row_tiles, 32);
  EXPECT_EQ(tiling.wide_tiles, 64);
  EXPECT_EQ(tiling.tiles, 128);
}

}  // namespace
}  // namespace neuros::kernels::cuda::prefill
