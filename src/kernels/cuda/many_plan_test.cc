#include "kernels/cuda/many_plan.h"

#include <set>

#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

constexpr int kSharedMax = 232448;  // of a Hopper block
constexpr ManyShape kHalves{.warps = 16,
                            .streams = 4,
                            .warp_panels = 2,
                            .equal_panels = 1,
                            .ring_bytes = 4096,
                            .chunk_pieces = 1};
constexpr ManyShape kBlocks{.warps = 8,
                            .streams = 1,
                            .warp_panels = 1,
                            .equal_panels = 4,
                            .ring_bytes = 10080,
                            .chunk_pieces = 2};

TEST(ManyPlan, StreamsOfAllQuartersAreTheGroupsInOrder) {
  for (const int streams : {1, 4}) {
    for (const int groups : {2, 4, 8, 16}) {
      const ManyColumns columns{.chunks = 3 * groups - 1, .groups = groups};
      int next_group = 0;
      for (int quarter = 0; quarter < kManyBlocks; ++quarter) {
        for (int stream = 0; stream < streams; ++stream) {
          const GroupRange range = stream_groups(columns, quarter, stream, streams);
          if (range.first == range.end) continue;
          EXPECT_EQ(range.first, next_group);
          EXPECT_EQ(range.first * 4 / groups, (range.end - 1) * 4 / groups) << "one quarter";
          next_group = range.end;
        }
      }
      EXPECT_EQ(next_group, groups);
      EXPECT_EQ(columns.first(groups), columns.chunks);
    }
  }
}

TEST(ManyPlan, TilesKeepTheClustersBusy) {
  EXPECT_EQ(tile_panels(4096 / 16, 32, 1), 8);    // one round
  EXPECT_EQ(tile_panels(6144 / 16, 32, 1), 6);    // two of 6, not of 8
  EXPECT_EQ(tile_panels(14336 / 16, 32, 1), 7);   // four of 7
  EXPECT_EQ(tile_panels(6144 / 16, 32, 4), 4);    // three of 4: 6 take as long as 8
  EXPECT_EQ(tile_panels(128256 / 16, 32, 1), 8);  // many: the highest
  EXPECT_EQ(tile_panels(1, 32, 1), 1);
}

TEST(ManyPlan, SharedMemoryHoldsEverything) {
  for (const ManyShape& shape : {kHalves, kBlocks}) {
    const ActivationKind kind = shape.streams == 1 ? ActivationKind::kQ8 : ActivationKind::kBF16;
    for (const int cols : {64, 256, 1024, 4096, 5120, 14336, 65536}) {
      for (const int tokens : {1, 9, 16, 33, 64}) {
        const int chunk = piece_columns(kind) * shape.chunk_pieces;
        const ManyColumns columns{.chunks = (cols + chunk - 1) / chunk,
                                  .groups = column_groups(cols)};
        const ManyShared shared =
            many_shared(shape, columns, piece_bytes(kind, tokens), kSharedMax);
        EXPECT_LE(shared.end, kSharedMax);
        const int pieces = stream_chunks_max(columns, shape.streams) * shape.chunk_pieces;
        EXPECT_GE(shared.slots, std::min(pieces, 2)) << "a piece is copied while another is read";
      }
    }
  }
}

TEST(ManyPlan, AQuarterOf4096ColumnsStaysInSharedMemory) {
  const ManyColumns halves{.chunks = 64, .groups = 16}, blocks{.chunks = 16, .groups = 16};
  EXPECT_EQ(many_shared(kHalves, halves, piece_bytes(ActivationKind::kBF16, 64), kSharedMax).slots,
            stream_chunks_max(halves, 4));
  EXPECT_EQ(many_shared(kBlocks, blocks, piece_bytes(ActivationKind::kQ8, 64), kSharedMax).slots,
            stream_chunks_max(blocks, 1) * 2);
}

/// Lane 4 g + t reads 16 bytes: columns 4 t .. + 3 of a step for token g of two tiles.
TEST(ActivationPieces, HalvesLieAsLanesReadThem) {
  for (const int tokens : {9, 24, 33, 64}) {
    const int bytes = piece_bytes(ActivationKind::kBF16, tokens);
    std::set<int> places;
    for (int token = 0; token < tokens; ++token) {
      for (int column = 0; column < 64; ++column) {
        const int lane = token % 8 * 4 + column % 16 / 4;
        const int operand =
            half_step_bytes(token_tiles(tokens)) * (column / 16) + token / 16 * 512 + lane * 16;
        const int place = half_place(bytes, token, column);
        EXPECT_EQ(place, operand + token / 8 % 2 * 8 + column % 4 * 2);
        EXPECT_TRUE(places.insert(place).second);
        EXPECT_LE(place + 2, bytes);
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
