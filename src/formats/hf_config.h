#pragma once

/// config.json and generation_config.json of Hugging Face directories, as metadata
/// (docs/formats/checkpoint.md).

#include "base/result.h"
#include "formats/checkpoint.h"

#include <string>
#include <string_view>

namespace neuros::formats {

struct HfConfig {
  Metadata metadata;
  /// False for an architecture that has no translation: then metadata holds only its name.
  bool architecture_known = false;
  /// The output layer is the embedding, whatever lm_head.weight holds.
  bool tied_embeddings = false;
};

/// Translates the text of config.json. Errors name the field and begin with "config.json".
base::Result<HfConfig> parse_hf_config(std::string_view config_text);

/// Overrides the end-of-text ids by those of generation_config.json, if it has any.
base::Result<> add_generation_config(Metadata& metadata, std::string_view generation_text);

}  // namespace neuros::formats
