#include "pipeline/gguf_vocabulary.h"

#include "builder/vocabulary_extras.h"
#include "text/vocabulary_gguf.h"

#include <optional>
#include <variant>
#include <vector>

namespace neuros::pipeline {
namespace {

using formats::MetadataArray;

/// The array of one key, as `T`; null if the key is absent or of another type.
template <typename T>
const std::vector<T>* array_of(const formats::Metadata& metadata, const char* key) {
  const formats::MetadataValue* value = metadata.find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<MetadataArray>(value);
  return array == nullptr ? nullptr : std::get_if<std::vector<T>>(&array->values);
}

std::vector<std::string> strings_of(const formats::Metadata& metadata, const char* key) {
  const auto* found = array_of<std::string>(metadata, key);
  return found == nullptr ? std::vector<std::string>{} : *found;
}

std::optional<uint32_t> id_of(const formats::Metadata& metadata, const char* key) {
  const auto id = metadata.integer_or_none(key);
  if (!id || *id < 0 || *id > INT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

void read_ids(const formats::Metadata& metadata, text::GgufVocabularyFields& fields) {
  fields.bos_id = id_of(metadata, "tokenizer.ggml.bos_token_id");
  fields.eos_id = id_of(metadata, "tokenizer.ggml.eos_token_id");
  fields.eot_id = id_of(metadata, "tokenizer.ggml.eot_token_id");
  fields.eom_id = id_of(metadata, "tokenizer.ggml.eom_token_id");
  fields.unk_id = id_of(metadata, "tokenizer.ggml.unknown_token_id");
  fields.sep_id = id_of(metadata, "tokenizer.ggml.seperator_token_id");
  fields.pad_id = id_of(metadata, "tokenizer.ggml.padding_token_id");
  fields.cls_id = id_of(metadata, "tokenizer.ggml.cls_token_id");
  fields.mask_id = id_of(metadata, "tokenizer.ggml.mask_token_id");
}

void read_switches(const formats::Metadata& metadata, text::GgufVocabularyFields& fields) {
  fields.add_bos = metadata.boolean_or_none("tokenizer.ggml.add_bos_token");
  fields.add_eos = metadata.boolean_or_none("tokenizer.ggml.add_eos_token");
  fields.add_space_prefix = metadata.boolean_or_none("tokenizer.ggml.add_space_prefix");
  fields.remove_extra_whitespaces =
      metadata.boolean_or_none("tokenizer.ggml.remove_extra_whitespaces");
  fields.normalizer_lower_case = metadata.boolean_or_none("tokenizer.ggml.normalizer.lowercase");
  fields.normalizer_strip_accents =
      metadata.boolean_or_none("tokenizer.ggml.normalizer.strip_accents");
}

}  // namespace

base::Result<text::Vocabulary> read_gguf_vocabulary(const formats::Checkpoint& checkpoint) {
  const formats::Metadata& metadata = checkpoint.metadata;
  text::GgufVocabularyFields fields;
  fields.model = TRY(metadata.text("tokenizer.ggml.model"));
  fields.pre = metadata.text_or_none("tokenizer.ggml.pre").value_or("");
  fields.tokens = strings_of(metadata, "tokenizer.ggml.tokens");
  fields.merges = strings_of(metadata, "tokenizer.ggml.merges");
  if (const auto* scores = array_of<double>(metadata, "tokenizer.ggml.scores")) {
    fields.scores.assign(scores->begin(), scores->end());
  }
  if (const auto* types = array_of<int64_t>(metadata, "tokenizer.ggml.token_type")) {
    fields.token_types.assign(types->begin(), types->end());
  }
  if (const auto* map = array_of<int64_t>(metadata, "tokenizer.ggml.precompiled_charsmap")) {
    fields.precompiled_charsmap.assign(map->begin(), map->end());
  }
  read_ids(metadata, fields);
  read_switches(metadata, fields);
  fields.chat_template = metadata.text_or_none("tokenizer.chat_template").value_or("");
  fields.model_name = metadata.text_or_none("general.name").value_or("");
  text::Vocabulary vocabulary = TRY(text::vocabulary_from_gguf(std::move(fields)));
  TRY(builder::read_vocabulary_extras(metadata, vocabulary));
  return vocabulary;
}

}  // namespace neuros::pipeline
