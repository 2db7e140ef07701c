#include "text/vocabulary_directory.h"

#include "base/mapped_file.h"
#include "text/vocabulary_hf_json.h"
#include "text/vocabulary_sentencepiece.h"
#include "text/vocabulary_tiktoken.h"

namespace neuros::text {
namespace {

/// "" for a file that is not there.
base::Result<std::string> read_optional(const std::string& path) {
  auto text = base::read_text_file(path);
  if (!text && text.error().kind == base::ErrorKind::kNotFound) return std::string();
  return text;
}

/// A line of base64, a space and a number; a SentencePiece model begins with the byte 0x0A.
bool looks_like_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const size_t space = line.find(' ');
  return !line.empty() && space != std::string_view::npos && space > 0 &&
         line.find_first_not_of("0123456789\r", space + 1) == std::string_view::npos;
}

base::Result<Vocabulary> from_model_file(std::string_view bytes, const HfTokenizerFiles& files) {
  Vocabulary v = looks_like_tiktoken(bytes)
                     ? TRY(vocabulary_from_tiktoken(bytes, llama3_tiktoken_options()))
                     : TRY(vocabulary_from_sentencepiece(bytes));
  TRY(apply_hf_config(files, v));
  return v;
}

base::Result<Vocabulary> from_files(const std::string& folder) {
  const std::string config = TRY(read_optional(folder + "/tokenizer_config.json"));
  const std::string generation = TRY(read_optional(folder + "/generation_config.json"));
  const std::string chat_template = TRY(read_optional(folder + "/chat_template.jinja"));
  HfTokenizerFiles files{
      .tokenizer_config = config, .generation_config = generation, .chat_template = chat_template};
  const std::string json = TRY(read_optional(folder + "/tokenizer.json"));
  files.tokenizer_json = json;
  if (!json.empty()) return vocabulary_from_hf(files);
  for (const char* name : {"/tokenizer.model", "/spiece.model"}) {
    const std::string model = TRY(read_optional(folder + name));
    if (!model.empty()) return from_model_file(model, files);
  }
  const std::string vocab = TRY(read_optional(folder + "/vocab.json"));
  const std::string merges = TRY(read_optional(folder + "/merges.txt"));
  if (vocab.empty() || merges.empty())
    return base::fail(
        "no tokenizer.json, tokenizer.model, spiece.model, or vocab.json with merges.txt",
        base::ErrorKind::kNotFound);
  files.vocab_json = vocab;
  files.merges_txt = merges;
  return vocabulary_from_hf(files);
}

}  // namespace

base::Result<Vocabulary> vocabulary_from_directory(const std::string& folder) {
  auto vocabulary = from_files(folder);
  if (!vocabulary) return tl::unexpected(base::with_context(vocabulary.error(), folder));
  return vocabulary;
}

}  // namespace neuros::text
