#pragma once

#include "formats/checkpoint.h"
#include "pipeline/sampling.h"

namespace neuros::pipeline {

/// Sampling parameters a model's publisher recommends: generation_config.json of an HF directory,
/// or the general.sampling.* keys of a GGUF file; else the API's defaults. Values out of range are
/// left at their defaults.
SamplingParams read_sampling_defaults(const formats::Checkpoint& checkpoint);

}  // namespace neuros::pipeline
