#include "builder/spec/testing/json_schema.h"

#include <algorithm>
#include <regex>

namespace neuros::builder::testing {
namespace {

using nlohmann::json;

size_t characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

bool is_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "number") return value.is_number();
  return type == "integer" && value.is_number_integer();
}

class Checker {
 public:
  explicit Checker(const json& root) : root_(root) {}

  /// Empty, or what does not fit.
  std::string check(const json& schema, const json& value) const {
    if (schema.is_boolean()) return schema.get<bool>() ? "" : "nothing is allowed here";
    for (const auto& [keyword, rule] : schema.items()) {
      const std::string error = check_keyword(keyword, rule, schema, value);
      if (!error.empty()) return keyword + ": " + error;
    }
    return "";
  }

 private:
  bool fits(const json& schema, const json& value) const { return check(schema, value).empty(); }

  std::string check_keyword(const std::string& keyword, const json& rule, const json& schema,
                            const json& value) const {
    if (keyword.starts_with('$') && keyword != "$ref") return "";
    if (keyword == "title" || keyword == "description" || keyword == "default") return "";
    if (keyword == "$ref")
      return check(root_.at(json::json_pointer(rule.get<std::string>().substr(1))), value);
    if (keyword == "const") return value == rule ? "" : "another value";
    if (keyword == "enum")
      return std::count(rule.begin(), rule.end(), value) ? "" : "no such value";
    if (keyword == "type") return check_type(rule, value);
    if (keyword == "not") return fits(rule, value) ? "fits" : "";
    if (keyword == "anyOf" || keyword == "oneOf")
      return check_count(keyword == "oneOf", rule, value);
    if (value.is_string()) return check_text(keyword, rule, value.get<std::string>());
    if (value.is_number()) return check_number(keyword, rule, value.get<double>());
    if (value.is_array()) return check_array(keyword, rule, value);
    if (value.is_object()) return check_object(keyword, rule, schema, value);
    return "";
  }

  static std::string check_type(const json& rule, const json& value) {
    if (rule.is_string()) return is_type(value, rule) ? "" : "not " + rule.get<std::string>();
    const bool any = std::any_of(rule.begin(), rule.end(),
                                 [&](const json& type) { return is_type(value, type); });
    return any ? "" : "none of these types";
  }

  std::string check_count(bool exactly_one, const json& rule, const json& value) const {
    const auto count = std::count_if(rule.begin(), rule.end(),
                                     [&](const json& schema) { return fits(schema, value); });
    return count == 1 || (count > 1 && !exactly_one) ? "" : std::to_string(count) + " fit";
  }

  static std::string check_text(const std::string& keyword, const json& rule,
                                const std::string& text) {
    if (keyword == "minLength") return characters(text) >= rule ? "" : "too short";
    if (keyword == "maxLength") return characters(text) <= rule ? "" : "too long";
    if (keyword == "pattern") {
      const std::regex pattern(rule.get<std::string>(), std::regex::ECMAScript);
      return std::regex_search(text, pattern) ? "" : "does not match";
    }
    return "";
  }

  static std::string check_number(const std::string& keyword, const json& rule, double number) {
    if (keyword == "minimum") return number >= rule.get<double>() ? "" : "too small";
    if (keyword == "exclusiveMinimum") return number > rule.get<double>() ? "" : "too small";
    if (keyword == "maximum") return number <= rule.get<double>() ? "" : "too large";
    return "";
  }

  std::string check_array(const std::string& keyword, const json& rule, const json& value) const {
    if (keyword == "minItems") return value.size() >= rule ? "" : "too few";
    if (keyword == "maxItems") return value.size() <= rule ? "" : "too many";
    if (keyword != "items") return "";
    for (const json& item : value) {
      if (const std::string error = check(rule, item); !error.empty()) return error;
    }
    return "";
  }

  std::string check_object(const std::string& keyword, const json& rule, const json& schema,
                           const json& value) const {
    if (keyword == "minProperties") return value.size() >= rule ? "" : "too few";
    if (keyword == "maxProperties") return value.size() <= rule ? "" : "too many";
    if (keyword == "required") return missing_of(rule, value);
    if (keyword == "dependentRequired") {
      for (const auto& [key, others] : rule.items()) {
        if (value.contains(key) && !missing_of(others, value).empty()) return "with " + key;
      }
      return "";
    }
    for (const auto& [key, member] : value.items()) {
      std::string error;
      const bool listed = schema.contains("properties") && schema["properties"].contains(key);
      if (keyword == "properties" && listed) error = check(rule.at(key), member);
      if (keyword == "additionalProperties" && !listed) error = check(rule, member);
      if (keyword == "propertyNames") error = check(rule, key);
      if (!error.empty()) return key + ": " + error;
    }
    return "";
  }

  static std::string missing_of(const json& keys, const json& value) {
    for (const json& key : keys) {
      if (!value.contains(key.get<std::string>())) return "lacks " + key.get<std::string>();
    }
    return "";
  }

  const json& root_;
};

}  // namespace

std::string schema_error(const json& schema, const json& value) {
  return Checker(schema).check(schema, value);
}

}  // namespace neuros::builder::testing
