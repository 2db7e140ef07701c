#include "pipeline/launch_tuning.h"

#include <array>
#include <map>

#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

using kernels::ChoiceKey;
using kernels::ChoiceOp;

constexpr ChoiceKey kKey{ChoiceOp::kPrompt, base::DType::kQ4_K, 6144, 4096, 512};

/// Times by the number of tokens, then by the way; -1 is the estimate.
class FakeTimer final : public LaunchTimer {
 public:
  using Times = std::map<int64_t, std::map<int32_t, double>>;
  explicit FakeTimer(Times first, Times second = {})
      : first_(std::move(first)), second_(std::move(second)) {}

  base::Result<std::vector<double>> time_us(const ChoiceKey& key, std::span<const Way> ways,
                                            int /*repetitions*/) override {
    const Times& times = calls_++ < 2 || second_.empty() ? first_ : second_;
    std::vector<double> found;
    for (const Way& way : ways) found.push_back(times.at(key.tokens).at(way.value_or(-1)));
    return found;
  }
  int calls() const { return calls_; }

 private:
  Times first_, second_;
  int calls_ = 0;
};

constexpr std::array<int32_t, 3> kValues{256, 64, 128};

TEST(LaunchTuning, TakesTheFastestThatHoldsTwice) {
  FakeTimer timer({{512, {{-1, 100}, {64, 95}, {128, 90}}}, {320, {{-1, 80}, {64, 80}, {128, 79}}}},
                  {{512, {{-1, 101}, {128, 91}}}, {320, {{-1, 80}, {128, 80}}}});
  const auto launch = tune_launch(kKey, kValues, timer);
  ASSERT_TRUE(launch.has_value());
  EXPECT_TRUE(launch->holds);
  EXPECT_EQ(launch->best, (kernels::KernelChoice{kKey, 128}));
  EXPECT_EQ(launch->estimate, 256);
  EXPECT_EQ(launch->best_us, 91);
  EXPECT_EQ(launch->estimate_us, 101);
}

TEST(LaunchTuning, TwoPercentAreNotEnough) {
  FakeTimer timer(
      {{512, {{-1, 100}, {64, 98}, {128, 99}}}, {320, {{-1, 80}, {64, 60}, {128, 60}}}});
  const auto launch = tune_launch(kKey, kValues, timer);
  ASSERT_TRUE(launch.has_value());
  EXPECT_FALSE(launch->holds);
  EXPECT_EQ(launch->best.value, 256);
  EXPECT_EQ(timer.calls(), 2) << "nothing to confirm";
}

TEST(LaunchTuning, MustNotBeSlowerWithFewerTokens) {
  EXPECT_EQ(faster_way(std::vector<double>{100, 80, 90}, std::vector<double>{50, 52, 50}), 2u);
  EXPECT_EQ(faster_way(std::vector<double>{100, 80}, std::vector<double>{50, 51}), std::nullopt);
  EXPECT_EQ(faster_way(std::vector<double>{100, 80}, std::vector<double>{50, 50.2}), 1u);
  EXPECT_EQ(faster_way(std::vector<double>{100}, std::vector<double>{50}), std::nullopt);
}

TEST(LaunchTuning, WhatWasLuckOnceIsNoRow) {
  FakeTimer timer({{512, {{-1, 100}, {64, 90}, {128, 99}}}, {320, {{-1, 80}, {64, 79}, {128, 80}}}},
                  {{512, {{-1, 100}, {64, 99}}}, {320, {{-1, 80}, {64, 80}}}});
  const auto launch = tune_launch(kKey, kValues, timer);
  ASSERT_TRUE(launch.has_value());
  EXPECT_FALSE(launch->holds);
  EXPECT_EQ(timer.calls(), 4);
}

}  // namespace
}  // namespace neuros::pipeline
