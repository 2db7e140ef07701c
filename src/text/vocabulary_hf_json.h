#pragma once

/// Vocabularies of Hugging Face model folders: tokenizer.json (the format of their `tokenizers`
/// library), or vocab.json with merges.txt, and what tokenizer_config.json adds.

#include "base/result.h"
#include "text/tokenizer.h"

#include <string>
#include <string_view>

namespace neuros::text {

/// The files' contents; leave empty what the folder does not have.
struct HfTokenizerFiles {
  std::string_view tokenizer_json = {};
  std::string_view vocab_json = {};  ///< with merges_txt, where there is no tokenizer_json
  std::string_view merges_txt = {};
  std::string_view tokenizer_config = {};  ///< tokenizer_config.json: special tokens, chat template
  std::string_view generation_config =
      {};                               ///< generation_config.json: further ids that end an answer
  std::string_view chat_template = {};  ///< chat_template.jinja, before the one in tokenizer_config
  /// Pre-tokenizer for vocab_json; empty: by the tokenizer_class in tokenizer_config, else gpt-2.
  std::string_view pre = {};
};

/// Models: BPE (byte-level, or on characters with U+2581 for spaces), Unigram, WordPiece. A part of
/// the pipeline that has no counterpart here gives kUnsupported and is named.
base::Result<Vocabulary> vocabulary_from_hf(const HfTokenizerFiles& files);

/// Adds what tokenizer_config.json, generation_config.json and chat_template.jinja say to a
/// vocabulary that came from another file of the same folder.
base::Result<> apply_hf_config(const HfTokenizerFiles& files, Vocabulary& vocabulary);

}  // namespace neuros::text
