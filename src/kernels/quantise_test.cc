#include "kernels/quantise.h"

#include "base/float16.h"
#include "kernels/blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using base::DType;

std::vector<DType> weight_types() {
  std::vector<DType> out;
  for (int i = 0; i < base::kWeightDTypeCount; ++i) out.push_back(static_cast<DType>(i));
  return out;
}

std::vector<std::byte> quantised(DType dtype, const std::vector<float>& values,
                                 std::span<const float> importance = {}) {
  std::vector<std::byte> blocks(
      static_cast<size_t>(base::bytes_of(dtype, static_cast<int64_t>(values.size()))));
  quantise(dtype, values, importance, blocks.data());
  return blocks;
}

std::vector<float> dequantised(DType dtype, const std::vector<std::byte>& blocks, size_t count) {
  std::vector<float> values(count);
  dequantise(dtype, blocks.data(), values);
  return values;
}

std::vector<float> round_trip(DType dtype, const std::vector<float>& values) {
  return dequantised(dtype, quantised(dtype, values), values.size());
}

std::vector<float> bell_curve(size_t count, float sigma, uint32_t seed = 7) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, sigma);
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

/// Root of the summed squared errors, relative to the values' own.
double relative_error(const std::vector<float>& values, const std::vector<float>& other,
                      std::span<const float> weights = {}) {
  double error = 0.0, total = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double weight = weights.empty() ? 1.0 : weights[i % weights.size()];
    error += weight * std::pow(static_cast<double>(values[i]) - other[i], 2);
    total += weight * std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(error / total);
}

class EveryType : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Weights, EveryType, testing::ValuesIn(weight_types()),
                         [](const auto& type) { return std::string(base::name(type.param)); });

/// The error on a bell curve of weights, a few per cent above what the search reaches (and at or
/// below what ggml's own quantisers reach on the same values).
double error_bound(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0.0;
    case DType::kF16:
      return 3e-4;
    case DType::kBF16:
      return 2.2e-3;
    case DType::kQ4_0:
      return 0.084;
    case DType::kQ4_1:
      return 0.073;
    case DType::kQ5_0:
      return 0.042;
    case DType::kQ5_1:
      return 0.0355;
    case DType::kQ8_0:
      return 0.0056;
    case DType::kQ2_K:
      return 0.282;
    case DType::kQ3_K:
      return 0.150;
    case DType::kQ4_K:
      return 0.0735;
    case DType::kQ5_K:
      return 0.0365;
    case DType::kQ6_K:
      return 0.0180;
    case DType::kIQ4_NL:
      return 0.077;
    case DType::kIQ4_XS:
      return 0.077;
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      return 0.46;
    case DType::kQ2_0:
      return 0.38;
    case DType::kQ2_0_128:
      return 0.40;
    default:
      return -1.0;
  }
}

TEST_P(EveryType, RoundTripErrorIsSmall) {
  const std::vector<float> values = bell_curve(64 * 256, 0.02f);
  EXPECT_LE(relative_error(values, round_trip(GetParam(), values)), error_bound(GetParam()));
}

TEST_P(EveryType, ErrorDoesNotDependOnTheScale) {
  if (GetParam() == DType::kF32) GTEST_SKIP() << "exact";
  for (const float sigma : {1.0f, 30.0f}) {
    const std::vector<float> values = bell_curve(16 * 256, sigma);
    EXPECT_LE(relative_error(values, round_trip(GetParam(), values)),
              1.03 * error_bound(GetParam()))
        << "sigma " << sigma;
  }
}

TEST_P(EveryType, ZerosStayZeros) {
  const std::vector<float> zeros(512, 0.0f);
  EXPECT_THAT(round_trip(GetParam(), zeros), testing::Each(0.0f));
}

TEST_P(EveryType, ConstantsSurvive) {
  for (const float constant : {1.0f, -1.0f, 0.75f, -3.0f}) {
    const std::vector<float> values(512, constant);
    EXPECT_LE(relative_error(values, round_trip(GetParam(), values)), 0.02) << constant;
  }
}

TEST_P(EveryType, UnquantisableInputsGiveFiniteValues) {
  if (!base::is_quantised(GetParam())) GTEST_SKIP() << "represents them";
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float strange :
       {1e-40f, -1e-40f, 1e-9f, 1e5f, -1e9f, std::numeric_limits<float>::max(), -kInfinity,
        kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> mixed = bell_curve(512, 1.0f);
    mixed[100] = strange;
    const std::vector<float> all(512, strange);
    for (const std::vector<float>& values : {mixed, all}) {
      for (const float value : round_trip(GetParam(), values)) {
        ASSERT_TRUE(std::isfinite(value)) << strange;
      }
    }
  }
}

TEST_P(EveryType, BlocksDoNotDependOnTheirNeighbours) {
  const std::vector<float> values = bell_curve(4 * 256, 0.5f);
  const std::vector<std::byte> whole = quantised(GetParam(), values);
  const std::vector<float> tail(values.begin() + 512, values.end());
  const std::vector<std::byte> part = quantised(GetParam(), tail);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.end() - std::ssize(part)));
}

TEST_P(EveryType, MisalignedBlocksAreRead) {
  const std::vector<float> values = bell_curve(512, 0.5f);
  const std::vector<std::byte> blocks = quantised(GetParam(), values);
  std::vector<std::byte> shifted(blocks.size() + 1);
  quantise(GetParam(), values, {}, shifted.data() + 1);
  EXPECT_EQ(std::memcmp(shifted.data() + 1, blocks.data(), blocks.size()), 0);
  std::vector<float> out(values.size());
  dequantise(GetParam(), shifted.data() + 1, out);
  EXPECT_EQ(out, dequantised(GetParam(), blocks, values.size()));
}

TEST_P(EveryType, ImportanceLowersTheErrorWhereItCounts) {
  if (!base::is_quantised(GetParam()) || GetParam() == DType::kQ8_0) {
    GTEST_SKIP() << "has no choice to make";
  }
  const std::vector<float> values = bell_curve(64 * 512, 0.02f);
  std::vector<float> importance = bell_curve(512, 1.0f, 11);
  for (float& weight : importance) weight = std::exp(3.0f * weight);
  const std::vector<float> with =
      dequantised(GetParam(), quantised(GetParam(), values, importance), values.size());
  const std::vector<float> without = round_trip(GetParam(), values);
  EXPECT_LT(relative_error(values, with, importance), relative_error(values, without, importance));
}

TEST_P(EveryType, UselessImportanceIsSafe) {
  const std::vector<float> values = bell_curve(512, 1.0f);
  for (const float weight : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(),
                             std::numeric_limits<float>::infinity()}) {
    const std::vector<float> importance(256, weight);
    const std::vector<float> out =
        dequantised(GetParam(), quantised(GetParam(), values, importance), values.size());
    EXPECT_LE(relative_error(values, out), 1.2 * error_bound(GetParam())) << weight;
  }
}

class ReproducedType : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Weights, ReproducedType,
                         testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0,
                                         DType::kTQ1_0, DType::kTQ2_0, DType::kQ2_0,
                                         DType::kQ2_0_128),
                         [](const auto& type) { return std::string(base::name(type.param)); });

TEST_P(ReproducedType, QuantisingWhatWasQuantisedChangesNothing) {
  for (const float sigma : {0.02f, 1.0f}) {
    const std::vector<float> once = round_trip(GetParam(), bell_curve(32 * 256, sigma));
    EXPECT_EQ(round_trip(GetParam(), once), once);
  }
}

TEST(Quantise, SparseTernaryWeightsComeBackExactly) {
  std::mt19937 random(3);
  for (const DType dtype : {DType::kTQ1_0, DType::kTQ2_0, DType::kQ2_0, DType::kQ2_0_128}) {
    for (const int zeros_of_100 : {0, 33, 90, 99}) {
      std::vector<float> values(16 * 256);
      for (float& value : values) {
        const bool zero = static_cast<int>(random() % 100) < zeros_of_100;
        value = zero ? 0.0f : (random() % 2 == 0 ? 0.0625f : -0.0625f);
      }
      EXPECT_EQ(round_trip(dtype, values), values) << base::name(dtype) << " " << zeros_of_100;
    }
  }
}

TEST(Quantise, AllFourLevelsOfQ2_0AreUsed) {
  std::mt19937 random(5);
  for (const float sign : {1.0f, -1.0f}) {
    std::vector<float> values(4 * 128);
    for (float& value : values)
      value = sign * 0.5f * static_cast<float>(static_cast<int>(random() % 4) - 1);
    EXPECT_EQ(round_trip(DType::kQ2_0_128, values), values);
    EXPECT_EQ(round_trip(DType::kQ2_0, values), values);
  }
}

}  // namespace
}  // namespace neuros::kernels
