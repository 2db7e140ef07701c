/// POST /detokenize: {"tokens": [...]} to text, as `content` (llama.cpp) and `prompt` (vLLM).

#include "serve/api.h"
#include "serve/completion_prompts.h"
#include "serve/generation_fields.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

tl::expected<Json, ApiError> answer(const Api& api, const Request& request) {
  auto body = parse_json_body(request.body);
  if (!body) return tl::unexpected(std::move(body).error());
  FieldReader fields(*body);
  auto model = read_model(api.backend, fields);
  if (!model) return tl::unexpected(std::move(model).error());
  const Json* tokens = fields.find("tokens");
  std::vector<int32_t> ids;
  if (tokens && tokens->is_array()) {
    ids = read_token_ids(fields, "tokens", *tokens, (*model)->facts().vocabulary_size);
  } else {
    fields.fail_type("tokens", "an array of token ids", tokens ? *tokens : Json(nullptr));
  }
  bool skip_special = false;
  fields.read("skip_special_tokens", skip_special);
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  const std::string text = (*model)->decode(ids, !skip_special);
  Json out;
  out["content"] = text;
  out["prompt"] = text;
  return out;
}

}  // namespace

void detokenize(Api& api, const Request& request, WriterPtr writer) {
  const auto body = answer(api, request);
  writer->send(body ? json_response(*body) : error_response(body.error()));
}

}  // namespace neuros::serve
