#pragma once

#include "base/result.h"
#include "text/tokenizer.h"

#include <string>

namespace neuros::text {

/// The vocabulary of a model folder: tokenizer.json, else tokenizer.model or spiece.model
/// (SentencePiece, or Llama 3's tiktoken), else vocab.json with merges.txt; with it, where present,
/// tokenizer_config.json, generation_config.json and chat_template.jinja. kNotFound if none is
/// there.
base::Result<Vocabulary> vocabulary_from_directory(const std::string& folder);

}  // namespace neuros::text
