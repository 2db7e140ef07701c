#pragma once

/// Opens Hugging Face model directories (docs/formats/checkpoint.md).

#include "base/result.h"
#include "formats/checkpoint.h"

#include <string>

namespace neuros::formats {

/// `directory` holds config.json and weights: model.safetensors.index.json and its shards, or
/// model.safetensors, or one other .safetensors file. Metadata and tensor names are translated.
base::Result<Checkpoint> open_huggingface(const std::string& directory);

/// One .safetensors file with config.json beside it.
base::Result<Checkpoint> open_safetensors(const std::string& path);

}  // namespace neuros::formats
