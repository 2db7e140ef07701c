#pragma once

/// Which ways of running launches are measured to be faster than what the kernels estimate: the
/// rows of a table of choices (docs/formats/kernel-choices.md).

#include "base/function_ref.h"
#include "base/result.h"
#include "kernels/choice_table.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace neuros::pipeline {

/// A choice; nullopt: none, the kernels estimate.
using Way = std::optional<int32_t>;

/// Runs launches and times them.
class LaunchTimer {
 public:
  virtual ~LaunchTimer() = default;
  /// Median microseconds of a launch with key.tokens tokens, for each way.
  virtual base::Result<std::vector<double>> time_us(const kernels::ChoiceKey& key,
                                                    std::span<const Way> ways, int repetitions) = 0;
};

/// The way that is faster than the first, which is the estimate, by more than 2 % where a bucket is
/// full and no slower where it is not; the fastest of these; nullopt: the estimate stays.
/// Microseconds, those of ways in the same order.
std::optional<size_t> faster_way(std::span<const double> full_us, std::span<const double> part_us);

/// A launch, the fastest way it was found to have, and the estimate's time. A row of the table
/// where `holds`: the times were so twice.
struct TunedLaunch {
  kernels::KernelChoice best;
  int32_t estimate = 0;
  double best_us = 0, estimate_us = 0;
  bool holds = false;
};

/// `values`: as OpTable::choice_values() gives them, the estimate's first.
base::Result<TunedLaunch> tune_launch(const kernels::ChoiceKey& key,
                                      std::span<const int32_t> values, LaunchTimer& timer);

}  // namespace neuros::pipeline
