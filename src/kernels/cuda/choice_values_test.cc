#include "kernels/cuda/choice_values.h"

#include "kernels/choice_table.h"
#include "kernels/cuda/halves_plan.h"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tiling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

using base::DType;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kKind = "sm_90/132";

ChoiceKey key_of(ChoiceOp op, DType dtype, int64_t rows, int64_t tokens) {
  return {.op = op, .dtype = dtype, .rows = rows, .cols = 4096, .tokens = tokens};
}

TEST(ChoiceValues, ShippedTableIsOneThatIsRead) {
  const auto rows = parse_choice_table(shipped_choices());
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  for (const ChoiceRow& row : *rows) {
    EXPECT_THAT(choice_values(row.device, row.choice.key), testing::Contains(row.choice.value));
    EXPECT_LT(row.time_us, row.default_us);
  }
}

TEST(ChoiceValues, EveryOneCanBeInATable) {
  for (int op = 0; op < kChoiceOpCount; ++op) {
    for (int dtype = 0; dtype < base::kWeightDTypeCount; ++dtype) {
      const int64_t tokens = static_cast<ChoiceOp>(op) == ChoiceOp::kDecodeStep ? 1 : 64;
      const ChoiceKey key =
          key_of(static_cast<ChoiceOp>(op), static_cast<DType>(dtype), 6144, tokens);
      for (const int32_t value : choice_values(kKind, key)) {
        const ChoiceRow row{.device = kKind, .choice = {key, value}, .time_us = 1, .default_us = 2};
        const auto rows = parse_choice_table(format_choice_table({&row, 1}));
        ASSERT_TRUE(rows.has_value()) << rows.error().message;
        EXPECT_EQ(rows->front().choice.value, value);
      }
    }
  }
}

TEST(ChoiceValues, OnlyHopperHasAChoice) {
  const ChoiceKey key = key_of(ChoiceOp::kPrompt, DType::kQ4_K, 6144, 512);
  EXPECT_THAT(choice_values("sm_80/108", key), IsEmpty());
  EXPECT_THAT(choice_values("", key), IsEmpty());
  EXPECT_THAT(choice_values("sm_90/", key), IsEmpty());
  EXPECT_THAT(choice_values("sm_90/1x", key), IsEmpty());
  EXPECT_THAT(choice_values(kKind, key_of(ChoiceOp::kPrompt, DType::kF32, 6144, 512)), IsEmpty());
}

TEST(ChoiceValues, TheEstimateComesFirstAndEveryValueOnce) {
  for (const DType dtype : {DType::kBF16, DType::kQ4_K, DType::kQ8_0}) {
    for (const int64_t tokens : {64, 128, 512, 2048}) {
      const auto values = choice_values(kKind, key_of(ChoiceOp::kPrompt, dtype, 6144, tokens));
      EXPECT_THAT(values, testing::IsSupersetOf({64, 128, 256}));
      EXPECT_EQ(std::set(values.begin(), values.end()).size(), values.size());
    }
  }
  EXPECT_THAT(choice_values(kKind, key_of(ChoiceOp::kDecodeMany, DType::kQ4_K, 14336, 64)),
              testing::UnorderedElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(choice_values(kKind, key_of(ChoiceOp::kDecodeMany, DType::kQ4_K, 32, 64)),
              testing::UnorderedElementsAre(1, 2));
}

TEST(ChoiceValues, OfHalvesArePossiblePlansTheBestFirst) {
  for (const auto op : {ChoiceOp::kDecodeMany, ChoiceOp::kDecodeManyGated}) {
    const int passes = op == ChoiceOp::kDecodeManyGated ? 2 : 1;
    for (const int64_t rows : {32, 4096, 28672, 128256}) {
      const HalvesProblem problem{.panels = static_cast<int>(panel_count(rows)) / passes,
                                  .passes = passes,
                                  .columns = 4096,
                                  .token_tiles = 8};
      const auto values = choice_values(kKind, key_of(op, DType::kBF16, rows, 64));
      ASSERT_FALSE(values.empty());
      EXPECT_EQ(plan_of_choice(values.front()), best_halves_plan(problem, 132));
      EXPECT_EQ(std::set(values.begin(), values.end()).size(), values.size());
      for (const int32_t value : values) {
        EXPECT_TRUE(is_possible(problem, plan_of_choice(value), 132)) << value;
      }
    }
  }
}

TEST(ChoiceValues, AllButFloatsMayGoByTheStepKernel) {
  const auto values = [](DType dtype, int64_t rows) {
    return choice_values(kKind, key_of(ChoiceOp::kDecodeStep, dtype, rows, 1));
  };
  EXPECT_THAT(values(DType::kQ4_K, 14336), ElementsAre(1, 0));
  EXPECT_THAT(values(DType::kQ8_0, 128256), ElementsAre(1, 0));
  EXPECT_THAT(values(DType::kBF16, 1024), ElementsAre(1, 0));
  EXPECT_THAT(values(DType::kF16, 1024), ElementsAre(1, 0));
  EXPECT_THAT(values(DType::kF32, 1024), IsEmpty());
  ChoiceKey key = key_of(ChoiceOp::kDecodeStep, DType::kBF16, 1024, 1);
  for (const int64_t cols : {4112, 32768 + 64}) {
    key.cols = cols;
    EXPECT_THAT(choice_values(kKind, key), IsEmpty());
  }
}

/// A launch has the tiles that were chosen for it, and covers all its rows with them.
TEST(ChoiceValues, ATilingIsAsChosen) {
  using namespace prefill;
  for (const DType dtype : {DType::kBF16, DType::kQ4_K}) {
    for (const int64_t rows : {1024, 4096, 6144, 28672}) {
      for (const int64_t tokens : {40, 320, 1024, 2000}) {
        const TilingShape shape{.dtype = dtype,
                                .cols = 4096,
                                .tokens = tokens,
                                .row_tiles = rows / 128,
                                .strips = rows / 64};
        TilingCard card{.multiprocessors = 132, .large_clusters = 32};
        const Tiling estimate = choose_tiling(card, shape);
        for (const int32_t value :
             choice_values(kKind, {ChoiceOp::kPrompt, dtype, rows, 4096, tokens})) {
          card.chosen = value;
          const Tiling tiling = choose_tiling(card, shape);
          EXPECT_EQ(choice_of(shape, tiling), value);
          EXPECT_EQ(tiling.width, std::min(value, 256));
          if (choice_of(shape, estimate) != value) continue;
          EXPECT_EQ(tiling.tiles, estimate.tiles);
          EXPECT_EQ(tiling.wide_tiles, estimate.wide_tiles);
          EXPECT_EQ(tiling.tall_tiles, estimate.tall_tiles);
        }
      }
    }
  }
}

TEST(ChoiceValues, AForcedWidthIsStronger) {
  using namespace prefill;
  const TilingShape shape{
      .dtype = DType::kQ4_K, .cols = 4096, .tokens = 1024, .row_tiles = 48, .strips = 96};
  const TilingCard card{.multiprocessors = 132, .width = 128, .chosen = 64};
  EXPECT_EQ(choose_tiling(card, shape).width, 128);
}

}  // namespace
}  // namespace neuros::kernels::cuda
