// tokenizer_config.json and generation_config.json.

#include "text/hf_json.h"

#include <charconv>

namespace neuros::text::hf {
namespace {

/// A special token is its text, or an object with the text as "content".
std::string token_text(const Json& config, const char* key) {
  const Json* value = member(config, key);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  return text_or(*value, "content", "");
}

void set_special(const Json& config, const char* key, const Vocabulary& v,
                 std::optional<TokenId>& id) {
  const std::string text = token_text(config, key);
  if (text.empty()) return;
  if (const auto found = find_piece(v, text)) id = found;
}

/// {"128000": {"content": "<|begin_of_text|>", "special": true, ...}, ...}
base::Result<> read_added_tokens(const Json& tokens, Vocabulary& v) {
  if (!tokens.is_object()) return {};
  const size_t limit = v.pieces.size() + tokens.size() + kHolesMax;
  for (const auto& [key, token] : tokens.items()) {
    TokenId id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      return base::fail("tokenizer_config.json: added_tokens_decoder has the id '" + key + "'");
    TRY(add_token(token, id, limit, v));
  }
  return {};
}

/// A text, or a list of {"name", "template"}: the one called "default", else the first.
std::string chat_template(const Json& config) {
  const Json* value = member(config, "chat_template");
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  std::string first;
  if (!value->is_array()) return first;
  for (const Json& entry : *value) {
    const std::string text = text_or(entry, "template", "");
    if (text_or(entry, "name", "") == "default") return text;
    if (first.empty()) first = text;
  }
  return first;
}

/// An explicit add_bos_token or add_eos_token has the last word over the post_processor.
void set_flag(const Json& config, const char* key, std::optional<TokenId> id,
              std::vector<TokenId>& around, bool& flag) {
  const Json* value = member(config, key);
  if (value == nullptr || !value->is_boolean()) return;
  flag = value->get<bool>() && (id || !around.empty());
  if (!flag) around.clear();
}

}  // namespace

base::Result<> read_tokenizer_config(const Json& config, Vocabulary& vocabulary) {
  Vocabulary& v = vocabulary;
  if (const Json* tokens = member(config, "added_tokens_decoder"))
    TRY(read_added_tokens(*tokens, v));
  set_special(config, "bos_token", v, v.bos);
  set_special(config, "eos_token", v, v.eos);
  set_special(config, "unk_token", v, v.unk);
  set_special(config, "pad_token", v, v.pad);
  set_special(config, "sep_token", v, v.sep);
  set_special(config, "cls_token", v, v.cls);
  set_special(config, "mask_token", v, v.mask);
  set_flag(config, "add_bos_token", v.bos, v.begin_with, v.add_bos);
  set_flag(config, "add_eos_token", v.eos, v.end_with, v.add_eos);
  if (auto text = chat_template(config); !text.empty()) v.chat_template = std::move(text);
  return {};
}

base::Result<> read_generation_config(const Json& config, Vocabulary& vocabulary) {
  const Json* eos = member(config, "eos_token_id");
  if (eos == nullptr) return {};
  const auto add = [&vocabulary](const Json& json) {
    const auto id = id_of(json);
    if (id && static_cast<size_t>(*id) < vocabulary.pieces.size())
      vocabulary.end_of_generation.push_back(*id);
  };
  if (!eos->is_array()) {
    add(*eos);
    return {};
  }
  for (const Json& id : *eos) add(id);
  return {};
}

}  // namespace neuros::text::hf
