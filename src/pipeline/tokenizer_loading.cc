#include "pipeline/tokenizer_loading.h"

#include "pipeline/gguf_vocabulary.h"
#include "text/vocabulary_directory.h"

#include <algorithm>
#include <filesystem>
#include <variant>

namespace neuros::pipeline {
namespace {

std::string folder_of(const std::string& path) {
  const std::filesystem::path file(path);
  return std::filesystem::is_directory(file) ? path : file.parent_path().string();
}

/// Ids that config.json or generation_config.json name as ends, besides the tokenizer's own.
void add_ends(const formats::Checkpoint& checkpoint, text::Vocabulary& vocabulary) {
  const formats::MetadataValue* value = checkpoint.metadata.find("neuros.eos_token_ids");
  const auto* array = value == nullptr ? nullptr : std::get_if<formats::MetadataArray>(value);
  const auto* ids = array == nullptr ? nullptr : std::get_if<std::vector<int64_t>>(&array->values);
  if (ids == nullptr) return;
  auto& ends = vocabulary.end_of_generation;
  for (int64_t id : *ids) {
    const bool exists = id >= 0 && id < static_cast<int64_t>(vocabulary.pieces.size());
    const auto token = static_cast<text::TokenId>(id);
    if (exists && std::find(ends.begin(), ends.end(), token) == ends.end()) ends.push_back(token);
  }
}

}  // namespace

base::Result<std::shared_ptr<const text::Tokenizer>> load_tokenizer(
    const formats::Checkpoint& checkpoint) {
  text::Vocabulary vocabulary =
      checkpoint.source == formats::Source::kGguf
          ? TRY(read_gguf_vocabulary(checkpoint))
          : TRY(text::vocabulary_from_directory(folder_of(checkpoint.path)));
  add_ends(checkpoint, vocabulary);
  return text::Tokenizer::create(std::move(vocabulary));
}

}  // namespace neuros::pipeline
