#pragma once

#include "base/result.h"
#include "cli/model_flags.h"
#include "cli/sampling_flags.h"

#include <cstdint>
#include <string>

namespace neuros::cli {

/// What `neuros run PIPELINE.yaml` is told.
struct PipelineRunFlags {
  const ModelFlags& model;
  const SamplingFlags& sampling;
  std::string prompt;      ///< "": a chat, a line of standard input at a time
  std::string system;      ///< "": no system message
  int32_t max_tokens = 0;  ///< of the answer; 0: what the context leaves
  bool json = false, quiet = false;
  bool verbose = false;  ///< the stages and where their time went
};

base::Result<> run_pipeline(const PipelineRunFlags& flags);

}  // namespace neuros::cli
