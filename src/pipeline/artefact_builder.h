#pragma once

#include "base/result.h"
#include "pipeline/language_model.h"
#include "pipeline/model_fleet.h"
#include "plan/fleet_plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace neuros::pipeline {

enum class ArtefactWeights {
  kInside,  ///< behind the executable
  kBeside,  ///< in OUTPUT.weights
};

struct ArtefactRequest {
  std::string output;
  std::string specification;              ///< YAML, kept as it is
  std::vector<FleetModelOptions> models;  ///< in boot order
  FleetWishes wishes{};
  ModelOptions options;  ///< of all models; on_progress hears of packing
  ArtefactWeights weights = ArtefactWeights::kInside;
  std::string executable = "/proc/self/exe";
};

struct ArtefactReport {
  plan::FleetPlan plan{};
  uint64_t file_bytes = 0;
  std::string weights_file{};  ///< its path; "": the weights are inside
  uint64_t weights_bytes = 0;
};

/// Plans, packs and writes an artefact (docs/formats/artefact.md). The same request gives the same
/// bytes. On failure nothing is left, and a file that was there stays. Errors name the file.
base::Result<ArtefactReport> build_artefact(const ArtefactRequest& request);

}  // namespace neuros::pipeline
