#include "builder/precision_levels.h"

#include "builder/rounding_error.h"
#include "kernels/quantise.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using base::DType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Two layers and a table; the second layer's feed-forward has been quantised by its author.
struct Fixture {
  Fixture() {
    add("token_embd.weight", {128, 256}, DType::kBF16, -1);
    for (int32_t layer = 0; layer < 2; ++layer) {
      const std::string name = "blk." + std::to_string(layer);
      add(name + ".attn_norm.weight", {256}, DType::kF32, layer);
      add(name + ".attn_q.weight", {256, 256}, DType::kBF16, layer);
      add(name + ".attn_v.weight", {128, 256}, DType::kBF16, layer);
      add(name + ".ffn_down.weight", {256, 512}, layer == 1 ? DType::kQ4_K : DType::kBF16, layer);
    }
    plan.program.layers = 2;
    plan.segments = {{"embedding", 0, 0}, {"layer 0", 0, 0}, {"layer 1", 0, 0}};
  }
  void add(const std::string& name, base::Shape shape, DType dtype, int32_t layer) {
    const int64_t elements = base::element_count(shape);
    std::vector<float> values(static_cast<size_t>(elements));
    for (float& value : values) value = std::normal_distribution<float>()(random);
    storage.emplace_back(static_cast<size_t>(base::bytes_of(dtype, elements)));
    kernels::quantise(dtype, values, {}, storage.back().data());
    const base::TensorView view{dtype, shape, storage.back()};
    checkpoint.tensors[name] = view;
    const bool matrix = shape.size() > 1;
    using Kind = plan::WeightPlacement::Kind;
    plan.weights.push_back({.name = name,
                            .kind = matrix ? Kind::kMatrix : Kind::kVector,
                            .dtype = dtype,
                            .file_dtype = dtype,
                            .rows = view.rows(),
                            .cols = view.cols(),
                            .segment = layer + 1,
                            .bytes = matrix ? kernels::ref_ops().linear_for(dtype).packed_bytes(
                                                  view.rows(), view.cols())
                                            : 1024,
                            .kernel = ""});
  }
  base::Result<PrecisionLevels> levels(std::vector<std::string> precision,
                                       const Importance& importance = {}) const {
    return PrecisionLevels::create(checkpoint, plan, kernels::ref_ops(), precision, importance);
  }

  std::mt19937 random{3};
  std::deque<std::vector<std::byte>> storage;
  formats::Checkpoint checkpoint;
  plan::Plan plan;
};

std::vector<std::string> names_of(const PrecisionLevels& levels) {
  std::vector<std::string> names;
  for (const WeightGroup& group : levels.groups()) names.push_back(group.name);
  return names;
}

TEST(PrecisionLevels, GroupsWhatChangesTogether) {
  const Fixture fixture;
  const auto levels = fixture.levels({"bf16", "q8_0", "q4_k_m"});
  ASSERT_TRUE(levels.has_value()) << levels.error().message;
  EXPECT_THAT(names_of(*levels),
              ElementsAre("token_embd", "blk.0.attn", "blk.0.ffn", "blk.1.attn"));
  for (const WeightGroup& group : levels->groups()) {
    EXPECT_GT(group.bytes[0], group.bytes[1]) << group.name;
    EXPECT_GT(group.bytes[1], group.bytes[2]) << group.name;
    EXPECT_EQ(group.error[0], 0) << group.name;
    EXPECT_LT(group.error[1], group.error[2]) << group.name;
  }
}

TEST(PrecisionLevels, LeavesWhatItsAuthorHasQuantised) {
  const Fixture fixture;
  const auto levels = fixture.levels({"q8_0"});
  ASSERT_TRUE(levels.has_value());
  EXPECT_TRUE(levels->has_published());
  EXPECT_EQ(levels->segment_bytes()[2], fixture.plan.weights.back().bytes + 1024);
  const WeightTypes types = levels->types_of(std::vector<int32_t>(levels->groups().size(), 0));
  EXPECT_EQ(types.count("blk.1.ffn_down.weight"), 0U);
  EXPECT_EQ(types.at("blk.0.ffn_down.weight"), DType::kQ8_0);
}

TEST(PrecisionLevels, TypesFollowTheMixOfEachGroupsLevel) {
  const Fixture fixture;
  const auto levels = fixture.levels({"f16", "q8_0", "q4_k_m"});
  ASSERT_TRUE(levels.has_value());
  const WeightTypes types = levels->types_of(std::vector<int32_t>{0, 2, 1, 0});
  EXPECT_EQ(types.at("token_embd.weight"), DType::kBF16) << "16 bits stay what they are";
  EXPECT_EQ(types.at("blk.0.attn_q.weight"), DType::kQ4_K);
  EXPECT_EQ(types.at("blk.0.ffn_down.weight"), DType::kQ8_0);
}

TEST(PrecisionLevels, WithoutAListNothingChanges) {
  const Fixture fixture;
  const auto levels = fixture.levels({});
  ASSERT_TRUE(levels.has_value());
  EXPECT_TRUE(levels->groups().empty());
  EXPECT_THAT(levels->names(), ElementsAre(kAsInTheFile));
  EXPECT_TRUE(levels->types_of({}).empty());
}

TEST(PrecisionLevels, RefusesUnknownTypes) {
  EXPECT_THAT(Fixture().levels({"q9"}).error().message, HasSubstr("precision q9: no such type"));
}

TEST(PrecisionLevels, CaresMostForTableAndAttention) {
  const Fixture fixture;
  const auto levels = fixture.levels({"bf16", "q8_0"});
  ASSERT_TRUE(levels.has_value());
  const std::vector<WeightGroup>& groups = levels->groups();
  EXPECT_GT(groups[0].care, groups[1].care);
  EXPECT_GT(groups[1].care, groups[2].care);
}

TEST(PrecisionLevels, WeighWhatATextIsMultipliedWith) {
  const Fixture fixture;
  Importance importance{.source = "a test"};
  // Nothing ever reaches attention; the feed-forward is used evenly.
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_v.weight"}) {
    importance.mean_squares[name] = std::vector<float>(256, 0.0f);
  }
  importance.mean_squares["blk.0.ffn_down.weight"] = std::vector<float>(512, 3.0f);
  const auto plain = fixture.levels({"bf16", "q8_0", "q4_k_m"});
  const auto weighed = fixture.levels({"bf16", "q8_0", "q4_k_m"}, importance);
  ASSERT_TRUE(plain && weighed);
  EXPECT_THAT(weighed->groups()[1].error, ElementsAre(0, 0, 0)) << "blk.0.attn";
  for (const size_t group : {size_t{0}, size_t{3}}) {
    EXPECT_EQ(weighed->groups()[group].error, plain->groups()[group].error) << "not measured";
  }
  for (const size_t level : {size_t{1}, size_t{2}}) {
    EXPECT_DOUBLE_EQ(weighed->groups()[2].error[level], plain->groups()[2].error[level])
        << "weights that are all alike are relative to themselves";
  }
  for (size_t group = 0; group < 4; ++group) {
    EXPECT_EQ(weighed->groups()[group].bytes, plain->groups()[group].bytes);
  }
}

/// Eight rows whose first block of 32 is exact as q8_0 (whole steps of 1, up to 127) and whose
/// other columns are not.
std::vector<float> exact_then_noise(size_t rows, size_t cols) {
  std::vector<float> values(rows * cols);
  std::mt19937 random(5);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t col = i % cols;
    const auto whole = static_cast<float>(static_cast<int>(random() % 255) - 127);
    values[i] = col == 0 ? 127.0f : col < 32 ? whole : 0.37f * whole + 0.11f;
  }
  return values;
}

TEST(RoundingError, IsThatOfProductsWhereInputsAreKnown) {
  constexpr size_t kRows = 8, kCols = 2048;
  const std::vector<float> values = exact_then_noise(kRows, kCols);
  const base::TensorView matrix{DType::kF32, {kRows, kCols}, std::as_bytes(std::span(values))};
  std::vector<float> only_exact(kCols, 0.0f), only_last(kCols, 0.0f);
  std::fill_n(only_exact.begin(), 32, 1.0f);
  std::fill_n(only_last.end() - 32, 32, 1e-4f);
  EXPECT_GT(rounding_error(matrix, DType::kQ8_0), 1e-6);
  EXPECT_EQ(rounding_error(matrix, DType::kQ8_0, only_exact), 0);
  EXPECT_GT(rounding_error(matrix, DType::kQ8_0, only_last), 1e-6) << "beyond the plain sample";
  EXPECT_EQ(rounding_error(matrix, DType::kQ8_0, std::vector<float>(kCols, 0.0f)), 0);
}

TEST(RoundingError, IsWhatRandomInputsOfThatVarianceMake) {
  constexpr size_t kRows = 8, kCols = 256, kTokens = 4000;
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> values(kRows * kCols), deviation(kCols), importance(kCols);
  for (float& value : values) value = normal(random);
  for (size_t k = 0; k < kCols; ++k) deviation[k] = std::exp(1.5f * normal(random));
  for (size_t k = 0; k < kCols; ++k) importance[k] = deviation[k] * deviation[k];
  std::vector<std::byte> blocks(static_cast<size_t>(base::bytes_of(DType::kQ4_0, kRows * kCols)));
  std::vector<float> rounded(values.size());
  kernels::quantise(DType::kQ4_0, values, {}, blocks.data());
  kernels::dequantise(DType::kQ4_0, blocks.data(), rounded);
  double lost = 0, energy = 0;
  for (size_t token = 0; token < kTokens; ++token) {
    std::vector<double> exact(kRows), rough(kRows);
    for (size_t k = 0; k < kCols; ++k) {
      const double x = static_cast<double>(deviation[k] * normal(random));
      for (size_t row = 0; row < kRows; ++row) {
        exact[row] += x * static_cast<double>(values[row * kCols + k]);
        rough[row] += x * static_cast<double>(rounded[row * kCols + k]);
      }
    }
    for (size_t row = 0; row < kRows; ++row) {
      lost += (exact[row] - rough[row]) * (exact[row] - rough[row]);
      energy += exact[row] * exact[row];
    }
  }
  const base::TensorView matrix{DType::kF32, {kRows, kCols}, std::as_bytes(std::span(values))};
  EXPECT_NEAR(rounding_error(matrix, DType::kQ4_0, importance) / (lost / energy), 1.0, 0.1);
}

TEST(RoundingError, IsThatOfTheFormat) {
  // Of normal values, a block of 32 scaled to 127 steps loses about 1 / (12 * 127^2) of the square
  // of its greatest value, some 2.2 deviations: 3e-5 of the energy.
  std::vector<float> values(64 * 1024);
  std::mt19937 random(1);
  for (float& value : values) value = std::normal_distribution<float>()(random);
  const base::TensorView matrix{DType::kF32, {64, 1024}, std::as_bytes(std::span(values))};
  EXPECT_NEAR(std::log10(rounding_error(matrix, DType::kQ8_0)), std::log10(3e-5), 0.3);
  EXPECT_GT(rounding_error(matrix, DType::kQ4_K), 50 * rounding_error(matrix, DType::kQ8_0));
  EXPECT_EQ(rounding_error(matrix, DType::kF32), 0);
  const std::vector<float> zeros(64 * 1024);
  EXPECT_EQ(
      rounding_error({DType::kF32, {64, 1024}, std::as_bytes(std::span(zeros))}, DType::kQ4_K), 0);
}

}  // namespace
}  // namespace neuros::builder
