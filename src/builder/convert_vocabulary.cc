#include "builder/convert_vocabulary.h"

#include "builder/vocabulary_extras.h"
#include "builder/vocabulary_metadata.h"
#include "text/vocabulary_directory.h"

#include <filesystem>

namespace neuros::builder {
namespace {

std::string folder_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return path;
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

base::Result<> add_vocabulary(const formats::Checkpoint& checkpoint, int64_t rows,
                              ConvertPlan& plan) {
  const auto vocabulary = text::vocabulary_from_directory(folder_of(checkpoint.path));
  if (!vocabulary && vocabulary.error().kind == base::ErrorKind::kNotFound) {
    plan.notes.push_back("no tokenizer: " + vocabulary.error().message);
    return {};
  }
  if (!vocabulary) return tl::unexpected(vocabulary.error());
  TRY(write_vocabulary(*vocabulary, rows, plan.metadata));
  std::string keys;
  for (const auto& [key, value] : plan.metadata.all()) {
    if (!key.starts_with(kExtrasPrefix)) continue;
    keys += (keys.empty() ? "" : ", ") + key.substr(kExtrasPrefix.size());
  }
  if (!keys.empty()) {
    plan.notes.push_back("GGUF has no keys for some of the tokenizer (" + keys +
                         "): other programs may cut some texts differently");
  }
  if (static_cast<int64_t>(vocabulary->pieces.size()) > rows) {
    plan.notes.push_back("the tokenizer has " + std::to_string(vocabulary->pieces.size()) +
                         " tokens, the embedding only " + std::to_string(rows) + " rows");
  }
  return {};
}

}  // namespace neuros::builder
