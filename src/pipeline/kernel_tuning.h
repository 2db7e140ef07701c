#pragma once

/// Measures a table of kernel choices, offline: docs/formats/kernel-choices.md.

#include "base/result.h"
#include "pipeline/launch_tuning.h"

#include <functional>
#include <string>
#include <vector>

namespace neuros::pipeline {

struct TuningOptions {
  std::string device = "cuda";
  /// Whose products are measured: NAME:TYPE (builder/synth.h).
  std::vector<std::string> models{"llama-8b:bf16",  "llama-8b:q8_0",  "llama-8b:q4_k_m",
                                  "llama-8b:tq2_0", "qwen3-8b:tq2_0", "qwen3-0.6b:q8_0"};
  std::function<void(const std::string& what, double fraction)> on_progress;
};

struct Tuning {
  std::string device;       ///< "cuda:0"
  std::string device_kind;  ///< "sm_90/132"
  std::vector<TunedLaunch> launches{};
  double seconds = 0;

  /// Of the launches that hold.
  std::vector<kernels::ChoiceRow> rows() const;
};

/// Fails where the device's kernels leave no choice. Needs some gigabytes of the device's memory
/// more than the largest of the models.
base::Result<Tuning> tune_kernels(const TuningOptions& options);

}  // namespace neuros::pipeline
