#include "text/hf_json.h"

#include <limits>

namespace neuros::text::hf {

base::Result<Json> parse(std::string_view text, const char* what) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return base::fail(std::string(what) + ": not valid JSON");
  if (!json.is_object()) return base::fail(std::string(what) + ": not a JSON object");
  return json;
}

const Json* member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

std::string text_or(const Json& json, const char* key, std::string_view otherwise) {
  const Json* value = member(json, key);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : std::string(otherwise);
}

bool flag_or(const Json& json, const char* key, bool otherwise) {
  const Json* value = member(json, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::optional<TokenId> id_of(const Json& json) {
  if (!json.is_number_unsigned()) return std::nullopt;
  const auto number = json.get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<TokenId>::max())) return std::nullopt;
  return static_cast<TokenId>(number);
}

tl::unexpected<base::Error> unsupported(const std::string& what) {
  return base::fail("tokenizer.json: " + what + " is not supported", base::ErrorKind::kUnsupported);
}

}  // namespace neuros::text::hf
