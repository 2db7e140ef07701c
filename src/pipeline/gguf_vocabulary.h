#pragma once

#include "base/result.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

namespace neuros::pipeline {

/// The vocabulary in a GGUF file's `tokenizer.*` keys.
base::Result<text::Vocabulary> read_gguf_vocabulary(const formats::Checkpoint& checkpoint);

}  // namespace neuros::pipeline
