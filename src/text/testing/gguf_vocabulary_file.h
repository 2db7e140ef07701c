#pragma once

#include "base/result.h"
#include "text/vocabulary_gguf.h"

#include <string>

namespace neuros::text {

/// Reads the tokenizer's metadata out of a GGUF file (version 2 or 3). For the tests of text/,
/// which cannot see formats/; trusts the file's sizes no further than its end.
base::Result<GgufVocabularyFields> read_gguf_vocabulary(const std::string& path);

}  // namespace neuros::text
