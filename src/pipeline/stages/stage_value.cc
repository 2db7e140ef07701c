#include "pipeline/stages/stage_value.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

using Json = nlohmann::ordered_json;

/// Of nested objects and lists; printing a value goes as deep as it is nested.
constexpr int kDepthMax = 64;

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_nested_too_deep(std::string_view json) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '{' || c == '[')) {
      if (++depth > kDepthMax) return true;
    } else if (!in_text && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return false;
}

/// Null unless the text is a JSON object.
std::shared_ptr<const Json> fields_of(std::string_view text) {
  const std::string_view json = trimmed(text);
  if (!json.starts_with('{') || !json.ends_with('}') || is_nested_too_deep(json)) return nullptr;
  Json parsed = Json::parse(json, nullptr, false);
  return parsed.is_object() ? std::make_shared<const Json>(std::move(parsed)) : nullptr;
}

std::string shown(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

StageValue StageValue::of_text(std::string text) {
  auto fields = fields_of(text);
  return of(std::move(text), std::move(fields));
}

StageValue StageValue::of(std::string text, std::shared_ptr<const Json> fields) {
  StageValue value;
  value.exists_ = true;
  value.text_ = std::move(text);
  value.fields_ = std::move(fields);
  return value;
}

const Json* StageValue::find(std::string_view name) const {
  if (!fields_ || !fields_->is_object()) return nullptr;
  const auto found = fields_->find(name);
  return found == fields_->end() ? nullptr : &*found;
}

std::string StageValue::field_text(std::string_view name) const {
  const Json* field = find(name);
  return field == nullptr ? "" : shown(*field);
}

builder::Value StageValue::value() const {
  return exists_ ? builder::Value::of_text(text_) : builder::Value();
}

builder::Value StageValue::field_value(std::string_view name) const {
  const Json* field = find(name);
  if (field == nullptr || field->is_null()) return {};
  if (field->is_boolean()) return builder::Value::of_bool(field->get<bool>());
  if (field->is_number()) return builder::Value::of_number(field->get<double>());
  return builder::Value::of_text(shown(*field));
}

}  // namespace neuros::pipeline
