#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

#include <memory>

namespace neuros::pipeline {

/// The tokenizer of a checkpoint: from GGUF metadata, or from an HF directory's side files
/// (tokenizer.json, else tokenizer.model, else vocab.json with merges.txt).
base::Result<std::shared_ptr<const text::Tokenizer>> load_tokenizer(
    const formats::Checkpoint& checkpoint);

}  // namespace neuros::pipeline
