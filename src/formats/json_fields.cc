#include "formats/json_fields.h"

#include <cmath>

namespace neuros::formats {

using base::fail;
using base::Result;
using nlohmann::json;

namespace {

tl::unexpected<base::Error> wrong_type(std::string_view name, const json& value,
                                       std::string_view expected) {
  return fail(std::string(name) + ": " + json_type(value) + ", expected " + std::string(expected));
}

}  // namespace

const json* JsonFields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool JsonFields::has_key(std::string_view name) const {
  return object_.contains(name);
}

Result<std::optional<int64_t>> JsonFields::integer(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_integer() &&
                    !(value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX});
  if (!fits) return wrong_type(name, *value, "an integer");
  return value->get<int64_t>();
}

Result<std::optional<double>> JsonFields::number(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return wrong_type(name, *value, "a number");
  return value->get<double>();
}

Result<std::optional<bool>> JsonFields::boolean(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return wrong_type(name, *value, "a boolean");
  return value->get<bool>();
}

Result<std::optional<std::string>> JsonFields::text(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong_type(name, *value, "a string");
  return value->get<std::string>();
}

Result<std::optional<JsonFields>> JsonFields::object(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) return wrong_type(name, *value, "an object");
  return JsonFields(*value);
}

Result<std::optional<int64_t>> JsonFields::count(std::string_view name) const {
  const auto value = TRY(integer(name));
  if (value && (*value < 1 || *value > INT32_MAX)) {
    return fail(std::string(name) + ": " + std::to_string(*value) + ", expected 1 to 2^31-1");
  }
  return value;
}

Result<int64_t> JsonFields::required_count(std::string_view name) const {
  const auto value = TRY(count(name));
  if (!value) return fail(std::string(name) + " is missing");
  return *value;
}

Result<std::optional<double>> JsonFields::positive(std::string_view name) const {
  const auto value = TRY(number(name));
  if (value && !(*value > 0 && std::isfinite(*value))) {
    return fail(std::string(name) + ": " + std::to_string(*value) + ", expected above 0");
  }
  return value;
}

}  // namespace neuros::formats
