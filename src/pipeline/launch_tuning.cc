#include "pipeline/launch_tuning.h"

#include "base/check.h"

#include <algorithm>
#include <array>

namespace neuros::pipeline {
namespace {

constexpr double kGainMin = 0.02;
constexpr double kNoise = 0.005;  ///< slower by less is not slower
constexpr int kRepetitions = 5;
constexpr int kRepetitionsToConfirm = 15;

/// A bucket has room for twice the tokens of the one before; measured full, and with
/// five eighths of them: few enough to ask whether wide tiles are still worth it.
int64_t part_of(int64_t tokens) {
  return std::max<int64_t>(1, tokens * 5 / 8);
}

struct Times {
  std::vector<double> full_us, part_us;
};

base::Result<Times> time_ways(kernels::ChoiceKey key, std::span<const Way> ways, int repetitions,
                              LaunchTimer& timer) {
  Times times;
  times.full_us = TRY(timer.time_us(key, ways, repetitions));
  key.tokens = part_of(key.tokens);
  times.part_us = TRY(timer.time_us(key, ways, repetitions));
  CHECK(times.full_us.size() == ways.size() && times.part_us.size() == ways.size());
  return times;
}

}  // namespace

std::optional<size_t> faster_way(std::span<const double> full_us, std::span<const double> part_us) {
  std::optional<size_t> best;
  for (size_t i = 1; i < full_us.size(); ++i) {
    const bool faster = full_us[i] < (1 - kGainMin) * full_us[0];
    const bool no_slower = part_us[i] <= (1 + kNoise) * part_us[0];
    if (faster && no_slower && (!best || full_us[i] < full_us[*best])) best = i;
  }
  return best;
}

base::Result<TunedLaunch> tune_launch(const kernels::ChoiceKey& key,
                                      std::span<const int32_t> values, LaunchTimer& timer) {
  CHECK(!values.empty());
  std::vector<Way> ways(values.begin(), values.end());
  ways[0] = std::nullopt;
  Times times = TRY(time_ways(key, ways, kRepetitions, timer));
  TunedLaunch launch{.best = {key, values[0]},
                     .estimate = values[0],
                     .best_us = times.full_us[0],
                     .estimate_us = times.full_us[0]};
  const auto faster = faster_way(times.full_us, times.part_us);
  if (!faster) return launch;
  // Once more, as the best of many measurements is one of the luckiest.
  const std::array<Way, 2> two{std::nullopt, ways[*faster]};
  times = TRY(time_ways(key, two, kRepetitionsToConfirm, timer));
  launch.best.value = values[*faster];
  launch.best_us = times.full_us[1];
  launch.estimate_us = times.full_us[0];
  launch.holds = faster_way(times.full_us, times.part_us).has_value();
  return launch;
}

}  // namespace neuros::pipeline
