#include "kernels/cuda/halves_plan.h"

#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

constexpr int kSharedMax = 232448;  // of a Hopper block
constexpr int kBlocks = 132;        // of an H200

constexpr HalvesProblem problem(int rows, int cols, int passes = 1, int tokens = 64) {
  return {.panels = static_cast<int>(panel_count(rows)),
          .passes = passes,
          .columns = cols,
          .token_tiles = token_tiles(tokens)};
}

TEST(HalvesPlan, BlocksHaveOneTileEachWhereTheyShareIt) {
  EXPECT_EQ(best_halves_plan(problem(4096, 4096), kBlocks), (HalvesPlan{.split = 4, .panels = 8}));
  EXPECT_EQ(best_halves_plan(problem(4096, 14336), kBlocks), (HalvesPlan{.split = 4, .panels = 8}));
  EXPECT_EQ(best_halves_plan(problem(6144, 4096), kBlocks), (HalvesPlan{.split = 4, .panels = 12}));
  // Gate and up of 14336 rows: 128 blocks with all columns.
  EXPECT_EQ(best_halves_plan(problem(14336, 4096, 2), kBlocks),
            (HalvesPlan{.split = 1, .panels = 7}));
}

TEST(HalvesPlan, EveryMatrixHasAPossibleOne) {
  for (const int blocks : {1, 78, 114, 132, 144}) {
    for (const int rows : {1, 16, 100, 1024, 6144, 28672, 262144}) {
      for (const int cols : {16, 64, 576, 4096, 65536}) {
        for (const int passes : {1, 2}) {
          for (const int tokens : {1, 9, 64}) {
            const HalvesProblem matrix = problem(rows, cols, passes, tokens);
            const HalvesPlan plan = best_halves_plan(matrix, blocks);
            ASSERT_TRUE(is_possible(matrix, plan, blocks)) << rows << " x " << cols;
            const HalvesShared shared =
                halves_shared(plan.panels * passes, matrix.token_tiles, kSharedMax);
            EXPECT_GT(shared.slots, 1);
            EXPECT_LE(shared.end, kSharedMax);
          }
        }
      }
    }
  }
}

TEST(HalvesPlan, RefusesWhatWouldNotFit) {
  const HalvesProblem matrix = problem(4096, 4096);
  EXPECT_FALSE(is_possible(matrix, {.split = 4, .panels = 7}, kBlocks)) << "two tiles a block";
  EXPECT_FALSE(is_possible(matrix, {.split = 3, .panels = 8}, kBlocks));
  EXPECT_FALSE(is_possible(matrix, {.split = 1, .panels = 17}, kBlocks));
  EXPECT_FALSE(is_possible(problem(4096, 4096, 2), {.split = 1, .panels = 9}, kBlocks));
  EXPECT_FALSE(is_possible(matrix, plan_of_choice(0), kBlocks));
  EXPECT_FALSE(is_possible(matrix, plan_of_choice(-107), kBlocks));
  EXPECT_FALSE(is_possible(problem(262144, 4096), {.split = 1, .panels = 16}, 400)) << "sums";
}

TEST(HalvesPlan, ChoicesAreNumbers) {
  for (const int split : {1, 2, 4}) {
    for (int panels = 1; panels <= kHalvesPanelsMax; ++panels) {
      const HalvesPlan plan{.split = split, .panels = panels};
      EXPECT_EQ(plan_of_choice(halves_choice(plan)), plan);
    }
  }
}

/// A warpgroup reads 64 rows and 64 tokens, however few there are: of the last slot, into the sums.
TEST(HalvesPlan, OperandsEndInsideSharedMemory) {
  for (int height = 1; height <= kHalvesPanelsMax; ++height) {
    for (const int tiles : {1, 2, 8}) {
      const HalvesShared shared = halves_shared(height, tiles, kSharedMax);
      const int last = HalvesShared::kRing + (shared.slots - 1) * shared.slot_bytes;
      const int rows = halves_warpgroups(height) * kStripPanelsOfHalves * kHalfChunkBytes;
      EXPECT_LE(last + rows, shared.end);
      EXPECT_LE(last + shared.tokens + kManyTokens / 8 * kHalfRowsBytes, shared.end);
    }
  }
}

}  // namespace
}  // namespace neuros::kernels::cuda
