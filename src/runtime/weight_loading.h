#pragma once

/// The weights' way into the arena: from the cache, or packed from the checkpoint and then kept.

#include "base/result.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"
#include "runtime/load_progress.h"
#include "runtime/packed_weights_io.h"
#include "runtime/weight_target.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::runtime {

struct LoadOptions {
  std::string weight_cache;  ///< folder of packed weights; "": none
  OnLoadProgress on_progress;
};

/// How the weights of a booted model came.
struct LoadReport {
  enum class From { kCheckpoint, kCache, kArtefact };
  From from = From::kCheckpoint;
  std::string path;     ///< the checkpoint, the cache's file, or the artefact's
  int64_t bytes = 0;    ///< read from it
  double seconds = 0;   ///< until the weights were in place
  bool direct = false;  ///< past the page cache

  std::string kept_as;      ///< the cache's file that was written; "": none
  double keep_seconds = 0;  ///< writing it
  /// What went wrong with the cache: "weight cache: ...".
  std::vector<std::string> warnings;

  double bytes_per_s() const { return seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0; }
};

/// Fills the arena. What is wrong with the cache is a warning of the report: a damaged file is
/// removed, and the weights are packed.
base::Result<LoadReport> load_weights(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                      const kernels::OpTable& ops, const WeightTarget& target,
                                      const LoadOptions& options);

/// Fills the arena from an artefact's packed weights, every segment's hash checked.
base::Result<LoadReport> load_packed_weights(const plan::Plan& plan, const PackedWeightsFile& file,
                                             const WeightTarget& target,
                                             const OnLoadProgress& on_progress);

}  // namespace neuros::runtime
