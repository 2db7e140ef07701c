/// GET /tokenizer_info: a tokenizer's configuration in the keys of Hugging Face's
/// tokenizer_config.json, as vLLM answers and lm-evaluation-harness reads. ?model= picks one.

#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/json_body.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

Json text_or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json(nullptr);
}

}  // namespace

void tokenizer_info(Api& api, const Request& request, WriterPtr writer) {
  const std::string id = request.query_value("model").value_or("");
  const auto model = find_model(api.backend, id);
  if (!model) return writer->send(error_response(model_not_found(id)));
  const ModelFacts& facts = model->facts();
  Json body;
  body["tokenizer_class"] = facts.tokenizer_class;
  body["bos_token"] = text_or_null(facts.bos_token);
  body["eos_token"] = text_or_null(facts.eos_token);
  body["unk_token"] = text_or_null(facts.unk_token);
  // Models without a padding token are padded with the end token by the tools that ask.
  body["pad_token"] = text_or_null(facts.pad_token ? facts.pad_token : facts.eos_token);
  body["add_bos_token"] = facts.add_bos;
  body["add_eos_token"] = facts.add_eos;
  body["vocab_size"] = facts.vocabulary_size;
  body["model_max_length"] = facts.context;
  body["chat_template"] = facts.chat_template.empty() ? Json(nullptr) : Json(facts.chat_template);
  writer->send(json_response(body));
}

}  // namespace neuros::serve
