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
  base::Result<PrecisionLevels> levels(std::vector<std::string> precision) const {
    return PrecisionLevels::create(checkpoint, plan, kernels::ref_ops(), precision);
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
