#pragma once

/// The vocabulary of a GGUF file. Spec: docs/gguf.md of the ggml project; where it is silent,
/// defaults are those of llama.cpp.

#include "base/result.h"
#include "text/tokenizer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace neuros::text {

/// The metadata of a GGUF file that describe its tokenizer, one field per key. Leave empty what the
/// file does not have.
struct GgufVocabularyFields {
  std::string model;                     ///< tokenizer.ggml.model: llama, gpt2, bert, t5, gemma4
  std::string pre;                       ///< tokenizer.ggml.pre
  std::vector<std::string> tokens;       ///< tokenizer.ggml.tokens
  std::vector<float> scores;             ///< tokenizer.ggml.scores [tokens]
  std::vector<int32_t> token_types;      ///< tokenizer.ggml.token_type [tokens]
  std::vector<std::string> merges;       ///< tokenizer.ggml.merges
  std::string precompiled_charsmap;      ///< tokenizer.ggml.precompiled_charsmap, its bytes
  std::optional<uint32_t> bos_id;        ///< tokenizer.ggml.bos_token_id
  std::optional<uint32_t> eos_id;        ///< tokenizer.ggml.eos_token_id
  std::optional<uint32_t> eot_id;        ///< tokenizer.ggml.eot_token_id
  std::optional<uint32_t> eom_id;        ///< tokenizer.ggml.eom_token_id
  std::optional<uint32_t> unk_id;        ///< tokenizer.ggml.unknown_token_id
  std::optional<uint32_t> sep_id;        ///< tokenizer.ggml.seperator_token_id (so spelled)
  std::optional<uint32_t> pad_id;        ///< tokenizer.ggml.padding_token_id
  std::optional<uint32_t> cls_id;        ///< tokenizer.ggml.cls_token_id
  std::optional<uint32_t> mask_id;       ///< tokenizer.ggml.mask_token_id
  std::optional<bool> add_bos;           ///< tokenizer.ggml.add_bos_token
  std::optional<bool> add_eos;           ///< tokenizer.ggml.add_eos_token
  std::optional<bool> add_space_prefix;  ///< tokenizer.ggml.add_space_prefix
  std::optional<bool> remove_extra_whitespaces;  ///< tokenizer.ggml.remove_extra_whitespaces
  std::optional<bool> normalizer_lower_case;     ///< tokenizer.ggml.normalizer.lowercase
  std::optional<bool> normalizer_strip_accents;  ///< tokenizer.ggml.normalizer.strip_accents
  std::string chat_template;                     ///< tokenizer.chat_template
  std::string model_name;                        ///< general.name; Phi-3 is known by it
};

/// Fails on an unknown model or pre-tokenizer (kUnsupported) and on arrays of different lengths.
/// Ids outside the vocabulary count as not given, as in llama.cpp.
base::Result<Vocabulary> vocabulary_from_gguf(GgufVocabularyFields fields);

}  // namespace neuros::text
