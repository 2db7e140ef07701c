/// POST /tokenize: llama.cpp's form (content, add_special, parse_special, with_pieces) and vLLM's
/// (prompt or messages, add_special_tokens, return_token_strs) through one door.

#include "serve/api.h"
#include "serve/chat_messages.h"
#include "serve/generation_fields.h"
#include "serve/logprobs.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

using Ids = std::vector<int32_t>;

tl::expected<Ids, ApiError> encode_text(FieldReader& fields, const ServedModel& model,
                                        const char* name, bool add_special) {
  std::string text;
  fields.read(name, text);
  fields.read("add_special", add_special);
  fields.read("add_special_tokens", add_special);
  bool parse_special = true;
  fields.read("parse_special", parse_special);
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  return model.encode(text, {.add_special = add_special, .parse_special = parse_special});
}

tl::expected<Ids, ApiError> encode_messages(FieldReader& fields, const ServedModel& model) {
  const Json inputs = read_chat_inputs(fields, model.facts());
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  auto prompt = model.chat_prompt(inputs);
  if (prompt) return std::move(prompt->ids);
  return tl::unexpected(invalid_field("messages", prompt.error().message));
}

tl::expected<Ids, ApiError> encode(FieldReader& fields, const ServedModel& model) {
  if (fields.find("messages")) return encode_messages(fields, model);
  if (fields.find("prompt")) return encode_text(fields, model, "prompt", true);
  if (fields.find("content")) return encode_text(fields, model, "content", false);
  return tl::unexpected(invalid_field("prompt",
                                      "One of 'prompt', 'content' and 'messages' must "
                                      "say what to tokenize."));
}

/// As llama.cpp: text, or an array of bytes where a token is only a part of a character.
Json piece_json(const std::string& bytes) {
  if (printable_token(bytes) == bytes) return bytes;
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<int>(static_cast<unsigned char>(c)));
  return out;
}

Json tokens_json(const ServedModel& model, const Ids& ids, bool with_pieces) {
  if (!with_pieces) return ids;
  Json out = Json::array();
  for (const int32_t id : ids) {
    out.push_back({{"id", id}, {"piece", piece_json(model.piece_bytes(id, true))}});
  }
  return out;
}

tl::expected<Json, ApiError> answer(const Api& api, const Request& request) {
  auto body = parse_json_body(request.body);
  if (!body) return tl::unexpected(std::move(body).error());
  FieldReader fields(*body);
  auto model = read_model(api.backend, fields);
  if (!model) return tl::unexpected(std::move(model).error());
  bool with_pieces = false, with_strings = false;
  fields.read("with_pieces", with_pieces);
  fields.read("return_token_strs", with_strings);
  auto ids = encode(fields, **model);
  if (!ids) return tl::unexpected(std::move(ids).error());
  Json out;
  out["count"] = ids->size();
  out["max_model_len"] = (*model)->facts().context;
  out["tokens"] = tokens_json(**model, *ids, with_pieces);
  if (with_strings) {
    out["token_strs"] = Json::array();
    for (const int32_t id : *ids) {
      out["token_strs"].push_back(printable_token((*model)->piece_bytes(id, true)));
    }
  }
  return out;
}

}  // namespace

void tokenize(Api& api, const Request& request, WriterPtr writer) {
  const auto body = answer(api, request);
  writer->send(body ? json_response(*body) : error_response(body.error()));
}

}  // namespace neuros::serve
