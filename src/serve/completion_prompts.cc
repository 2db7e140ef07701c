#include "serve/completion_prompts.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

constexpr size_t kPromptsMax = 1024;

CompletionPrompt read_prompt(FieldReader& fields, const ServedModel& model, const std::string& name,
                             const Json& prompt) {
  CompletionPrompt out;
  if (prompt.is_string()) {
    out.text = prompt.get<std::string>();
    bool add_special = true;
    fields.read("add_special_tokens", add_special);
    out.ids = model.encode(out.text, {.add_special = add_special, .parse_special = true});
  } else if (prompt.is_array()) {
    out.ids = read_token_ids(fields, name, prompt, model.facts().vocabulary_size);
    out.text = model.decode(out.ids, false);
  } else {
    fields.fail_type(name, "a string or an array of token ids", prompt);
  }
  if (fields.ok() && out.ids.empty()) {
    fields.fail(invalid_field(name, "'" + name + "' has no tokens; at least one is needed."));
  }
  return out;
}

}  // namespace

std::vector<int32_t> read_token_ids(FieldReader& fields, const std::string& name, const Json& ids,
                                    int32_t vocabulary_size) {
  std::vector<int32_t> out;
  out.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const Json& id = ids[i];
    const double value = id.is_number_integer() ? id.get<double>() : -1;
    if (!(value >= 0 && value < vocabulary_size)) {
      fields.fail_type(name + "[" + std::to_string(i) + "]",
                       "a token id below " + std::to_string(vocabulary_size), id);
      return {};
    }
    out.push_back(static_cast<int32_t>(value));
  }
  return out;
}

std::vector<CompletionPrompt> read_prompts(FieldReader& fields, const ServedModel& model) {
  const Json* prompt = fields.find("prompt");
  if (!prompt) {
    if (fields.ok()) fields.fail_type("prompt", "a string or an array", Json(nullptr));
    return {};
  }
  const bool many = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  if (!many) return {read_prompt(fields, model, "prompt", *prompt)};
  if (prompt->size() > kPromptsMax) {
    fields.fail(invalid_field("prompt", "'prompt' has " + std::to_string(prompt->size()) +
                                            " prompts; at most 1024 are allowed."));
  }
  std::vector<CompletionPrompt> prompts;
  for (size_t i = 0; i < prompt->size() && fields.ok(); ++i) {
    prompts.push_back(
        read_prompt(fields, model, "prompt[" + std::to_string(i) + "]", (*prompt)[i]));
  }
  return prompts;
}

}  // namespace neuros::serve
