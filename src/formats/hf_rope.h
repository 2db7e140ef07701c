#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "formats/json_fields.h"

#include <string>

namespace neuros::formats {

/// Sets `{prefix}.rope.freq_base` and `{prefix}.rope.scaling.*` from config.json's
/// `rope_parameters`, or `rope_scaling` and `rope_theta`. `context_length` is the config's
/// max_position_embeddings. For sources of this folder only.
base::Result<> add_hf_rope(Metadata& metadata, const std::string& prefix, const JsonFields& config,
                           int64_t context_length);

}  // namespace neuros::formats
