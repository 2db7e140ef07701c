#include "serve/request_target.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

/// Text parts joined by line ends, as read_chat_inputs() does.
std::string content_text(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return "";
  if (content->is_string()) return content->get<std::string>();
  std::string joined;
  if (!content->is_array()) return joined;
  for (const Json& part : *content) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) continue;
    joined += (joined.empty() ? "" : "\n") + part["text"].get<std::string>();
  }
  return joined;
}

}  // namespace

RequestTexts chat_texts(const Json& body) {
  RequestTexts texts;
  const auto messages = body.find("messages");
  if (messages == body.end() || !messages->is_array()) return texts;
  for (const Json& message : *messages) {
    if (!message.is_object()) continue;
    const std::string text = content_text(message);
    texts.context += (texts.context.empty() ? "" : "\n") + text;
    const auto role = message.find("role");
    if (role != message.end() && *role == "user") texts.prompt = text;
  }
  return texts;
}

RequestTexts completion_texts(const Json& body) {
  const auto prompt = body.find("prompt");
  if (prompt == body.end() || !prompt->is_string()) return {};
  const auto text = prompt->get<std::string>();
  return {text, text};
}

tl::expected<RequestTarget, ApiError> read_target(const Backend& backend, FieldReader& fields,
                                                  const std::function<RequestTexts()>& texts) {
  std::string id;
  fields.read("model", id);
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  RequestTarget target;
  if ((target.pipeline = find_pipeline(backend, id))) return target;
  if ((target.route = find_route(backend, id))) {
    const auto [prompt, context] = texts();
    auto picked = target.route->pick(prompt, context);
    if (!picked) return tl::unexpected(from_error(picked.error()));
    target.model = std::move(*picked);
    return target;
  }
  if ((target.model = find_model(backend, id))) return target;
  return tl::unexpected(model_not_found(id));
}

}  // namespace neuros::serve
