#include "text/vocabulary_hf_json.h"

#include "text/end_of_generation.h"
#include "text/hf_json.h"

namespace neuros::text {
namespace {

base::Result<> add_tokens(const hf::Json& added, Vocabulary& v) {
  if (!added.is_array()) return base::fail("tokenizer.json: added_tokens is not a list");
  const size_t limit = v.pieces.size() + added.size() + hf::kHolesMax;
  for (const hf::Json& token : added) {
    const hf::Json* number = hf::member(token, "id");
    const auto id = number ? hf::id_of(*number) : std::nullopt;
    if (!id) return base::fail("tokenizer.json: an added token has no id");
    TRY(hf::add_token(token, *id, limit, v));
  }
  return {};
}

base::Result<Vocabulary> from_tokenizer_json(const hf::Json& json) {
  Vocabulary v;
  v.add_space_prefix = false;
  const hf::Json* model = hf::member(json, "model");
  if (model == nullptr) return base::fail("tokenizer.json: model is missing");
  TRY(hf::read_model(*model, hf::is_byte_level(json), v));
  TRY(hf::read_pipeline(json, v));
  if (const hf::Json* added = hf::member(json, "added_tokens")) TRY(add_tokens(*added, v));
  if (const hf::Json* processor = hf::member(json, "post_processor"))
    TRY(hf::read_post_processor(*processor, v));
  return v;
}

std::string pre_of_class(const hf::Json& config) {
  const std::string name = hf::text_or(config, "tokenizer_class", "");
  return name.starts_with("Qwen2") ? "qwen2" : "gpt-2";
}

base::Result<Vocabulary> from_vocab_and_merges(const HfTokenizerFiles& files,
                                               const hf::Json& config) {
  Vocabulary v;
  v.add_space_prefix = false;
  TRY(hf::read_vocab_object(TRY(hf::parse(files.vocab_json, "vocab.json")), v));
  TRY(hf::read_merges_txt(files.merges_txt, v));
  v.pre = files.pre.empty() ? pre_of_class(config) : std::string(files.pre);
  return v;
}

base::Result<hf::Json> parse_if_present(std::string_view text, const char* what) {
  if (text.empty()) return hf::Json();
  return hf::parse(text, what);
}

base::Result<> apply_config(const HfTokenizerFiles& files, const hf::Json& config, Vocabulary& v) {
  TRY(hf::read_tokenizer_config(config, v));
  const auto generation = TRY(parse_if_present(files.generation_config, "generation_config.json"));
  TRY(hf::read_generation_config(generation, v));
  if (!files.chat_template.empty()) v.chat_template = files.chat_template;
  find_end_of_generation(v);
  return {};
}

}  // namespace

base::Result<Vocabulary> vocabulary_from_hf(const HfTokenizerFiles& files) {
  const auto config = TRY(parse_if_present(files.tokenizer_config, "tokenizer_config.json"));
  Vocabulary v =
      files.tokenizer_json.empty()
          ? TRY(from_vocab_and_merges(files, config))
          : TRY(from_tokenizer_json(TRY(hf::parse(files.tokenizer_json, "tokenizer.json"))));
  TRY(apply_config(files, config, v));
  return v;
}

base::Result<> apply_hf_config(const HfTokenizerFiles& files, Vocabulary& vocabulary) {
  const auto config = TRY(parse_if_present(files.tokenizer_config, "tokenizer_config.json"));
  return apply_config(files, config, vocabulary);
}

}  // namespace neuros::text
