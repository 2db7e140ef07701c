#include "serve/json_body.h"

#include <algorithm>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

ApiError malformed(std::string message) {
  return {.message = "The request body is not valid: " + std::move(message),
          .code = "invalid_json"};
}

/// Looks only at structure, before anything is allocated.
std::optional<ApiError> check_size(std::string_view body, JsonLimits limits) {
  size_t depth = 0, values = 0;
  bool in_string = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == ']' || c == '}') depth -= depth > 0;
    if (c == '[' || c == '{') ++depth;
    values += c == ',' || c == '[' || c == '{';
    if (depth > limits.depth) {
      return malformed("nested deeper than " + std::to_string(limits.depth) + " levels at byte " +
                       std::to_string(i + 1));
    }
    if (values > limits.values) {
      return malformed("more than " + std::to_string(limits.values) + " values");
    }
  }
  return std::nullopt;
}

std::string position(std::string_view body, size_t byte) {
  const std::string_view before = body.substr(0, std::min(byte > 0 ? byte - 1 : 0, body.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = before.size() - (newline == before.npos ? 0 : newline + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

/// What is wrong, without the library's own numbering and position in front.
std::string reason(const nlohmann::json::exception& error) {
  std::string text = error.what();
  for (const char* start : {"syntax error", "number overflow"}) {
    const size_t at = text.find(start);
    if (at != text.npos) return text.substr(at);
  }
  return text;
}

}  // namespace

tl::expected<Json, ApiError> parse_json_body(std::string_view body, JsonLimits limits) {
  if (auto error = check_size(body, limits)) return tl::unexpected(std::move(*error));
  try {
    Json json = Json::parse(body);
    if (json.is_object()) return json;
    return tl::unexpected(
        malformed("a JSON object is expected, not " + std::string(json.type_name())));
  } catch (const nlohmann::json::parse_error& error) {
    return tl::unexpected(malformed(position(body, error.byte) + ": " + reason(error)));
  } catch (const nlohmann::json::exception& error) {  // a number out of range
    return tl::unexpected(malformed(reason(error)));
  }
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Response json_response(const Json& json) {
  return {.body = dump(json)};
}

}  // namespace neuros::serve
