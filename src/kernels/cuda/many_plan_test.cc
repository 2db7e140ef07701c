#include "kernels/cuda/many_plan.h"

#include <set>

#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

constexpr int kSharedMax = 232448;  // of a Hopper block
constexpr ManyShape kShape{.ring_bytes = 10080, .chunk_pieces = 2};

TEST(ManyPlan, QuartersAreTheGroupsInOrder) {
  for (const int groups : {2, 4, 8, 16}) {
    const ManyColumns columns{.chunks = 3 * groups - 1, .groups = groups};
    EXPECT_EQ(columns.first_group(0), 0);
    EXPECT_EQ(columns.first_group(kManyBlocks), groups);
    EXPECT_EQ(columns.first(groups), columns.chunks);
    for (int quarter = 0; quarter < kManyBlocks; ++quarter) {
      const int first = columns.first_group(quarter), end = columns.first_group(quarter + 1);
      EXPECT_LE(first, end);
      EXPECT_LE(columns.first(end) - columns.first(first), quarter_chunks_max(columns));
    }
  }
}

TEST(ManyPlan, TilesKeepTheClustersBusy) {
  EXPECT_EQ(tile_panels(4096 / 16, 32), 8);    // one round
  EXPECT_EQ(tile_panels(6144 / 16, 32), 4);    // three of 4: 6 take as long as 8
  EXPECT_EQ(tile_panels(128256 / 16, 32), 8);  // many: the highest
  EXPECT_EQ(tile_panels(1, 32), 4);            // as long as one
}

TEST(ManyPlan, SharedMemoryHoldsEverything) {
  for (const int cols : {64, 256, 1024, 4096, 5120, 14336, 65536}) {
    for (const int tokens : {1, 9, 16, 33, 64}) {
      const int chunk = piece_columns(ActivationKind::kQ8) * kShape.chunk_pieces;
      const ManyColumns columns{.chunks = (cols + chunk - 1) / chunk,
                                .groups = column_groups(cols)};
      const ManyShared shared =
          many_shared(kShape, columns, piece_bytes(ActivationKind::kQ8, tokens), kSharedMax);
      EXPECT_LE(shared.end, kSharedMax);
      const int pieces = quarter_chunks_max(columns) * kShape.chunk_pieces;
      EXPECT_GE(shared.slots, std::min(pieces, 2)) << "a piece is copied while another is read";
    }
  }
}

TEST(ManyPlan, AQuarterOf4096ColumnsStaysInSharedMemory) {
  const ManyColumns columns{.chunks = 16, .groups = 16};
  EXPECT_EQ(many_shared(kShape, columns, piece_bytes(ActivationKind::kQ8, 64), kSharedMax).slots,
            quarter_chunks_max(columns) * 2);
}

/// As weights lie: half_quad_place() for rows of eight.
TEST(ActivationPieces, HalvesLieAsWeightsDo) {
  for (const int tokens : {9, 24, 33, 64}) {
    const int bytes = piece_bytes(ActivationKind::kBF16, tokens);
    std::set<int> places;
    for (int token = 0; token < tokens; ++token) {
      for (int column = 0; column < 64; column += 4) {
        const int place = half_place(token, column);
        EXPECT_EQ(place, token / 8 * kHalfRowsBytes + half_quad_place(token % 8, column / 4));
        for (const int pair : {place, place + kHalfPieceBytes}) {
          EXPECT_TRUE(places.insert(pair).second);
          EXPECT_EQ(pair % 4, 0);
          EXPECT_LE(pair + 4, bytes);
        }
      }
    }
  }
}

TEST(ActivationPieces, CodesAndScalesLieApart) {
  const int tokens = 27;
  std::set<int> places;
  for (int token = 0; token < tokens; ++token) {
    for (int column = 0; column < 128; ++column) {
      const int place = code_place(token, column);
      EXPECT_TRUE(places.insert(place).second);
      // 16 bytes of a lane are two steps: columns 4 t .. + 3 and the same + 16 of each.
      const int lane = token % 8 * 4 + column % 16 / 4;
      EXPECT_EQ(place / 16 * 16, token / 8 * kTilePieceBytes + column / 64 * 512 + lane * 16);
      EXPECT_EQ(place % 16, column / 32 % 2 * 8 + column / 16 % 2 * 4 + column % 4);
    }
  }
  for (int token = 0; token < tokens; token += 2) {
    for (int index = 0; index < kPairFloats; ++index) {
      const int place = scale_place(token, index);
      EXPECT_EQ(place, scale_place(token + 1, index)) << "of the pair";
      for (int byte = 0; byte < 4; ++byte) EXPECT_TRUE(places.insert(place + byte).second);
      EXPECT_LE(place + 4, piece_bytes(ActivationKind::kQ8, tokens));
    }
  }
}

}  // namespace
}  // namespace neuros::kernels::cuda
