#pragma once

#include "formats/checkpoint.h"

namespace neuros::builder {

/// Sets `general.sampling.*` from an HF directory's generation_config.json, so that the converted
/// model samples as its publisher wants. What is absent or no number is left out.
void add_sampling_defaults(const formats::Checkpoint& checkpoint, formats::Metadata& metadata);

}  // namespace neuros::builder
