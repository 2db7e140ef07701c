#include "formats/checkpoint.h"

#include <type_traits>

namespace neuros::formats {
namespace {

template <typename T>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<T, bool>) return "boolean";
  if constexpr (std::is_same_v<T, int64_t>) return "integer";
  if constexpr (std::is_same_v<T, double>) return "number";
  if constexpr (std::is_same_v<T, std::string>) return "text";
  return "array";
}

std::string describe_array(const MetadataArray& array) {
  return std::visit(
      [](const auto& values) {
        using Element = typename std::decay_t<decltype(values)>::value_type;
        return "array of " + std::to_string(values.size()) + " " +
               std::string(type_name<Element>()) + "s";
      },
      array.values);
}

tl::unexpected<base::Error> wrong_type(std::string_view key, std::string_view wanted,
                                       const MetadataValue* found) {
  const std::string name = "metadata key " + std::string(key);
  if (found == nullptr) return base::fail(name + " is missing", base::ErrorKind::kNotFound);
  return base::fail(name + ": " + describe_type(*found) + ", expected " + std::string(wanted));
}

template <typename T>
const std::vector<T>* array_of(const MetadataValue* value) {
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<MetadataArray>(value);
  return array == nullptr ? nullptr : std::get_if<std::vector<T>>(&array->values);
}

template <typename T>
std::optional<T> value_or_none(const MetadataValue* value) {
  if (value == nullptr) return std::nullopt;
  const T* found = std::get_if<T>(value);
  return found == nullptr ? std::nullopt : std::optional<T>(*found);
}

template <typename T>
base::Result<T> or_wrong_type(std::optional<T> value, std::string_view key, std::string_view wanted,
                              const MetadataValue* found) {
  if (!value) return wrong_type(key, wanted, found);
  return std::move(*value);
}

}  // namespace

size_t MetadataArray::size() const {
  return std::visit([](const auto& elements) { return elements.size(); }, values);
}

std::string describe_type(const MetadataValue& value) {
  if (const auto* array = std::get_if<MetadataArray>(&value)) return describe_array(*array);
  return std::visit(
      [](const auto& held) { return std::string(type_name<std::decay_t<decltype(held)>>()); },
      value);
}

const MetadataValue* Metadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

void Metadata::erase(std::string_view key) {
  const auto found = values_.find(key);
  if (found != values_.end()) values_.erase(found);
}

base::Result<int64_t> Metadata::integer(std::string_view key) const {
  return or_wrong_type(integer_or_none(key), key, "integer", find(key));
}

base::Result<double> Metadata::number(std::string_view key) const {
  return or_wrong_type(number_or_none(key), key, "number", find(key));
}

base::Result<std::string> Metadata::text(std::string_view key) const {
  return or_wrong_type(text_or_none(key), key, "text", find(key));
}

std::optional<int64_t> Metadata::integer_or_none(std::string_view key) const {
  return value_or_none<int64_t>(find(key));
}

std::optional<double> Metadata::number_or_none(std::string_view key) const {
  if (const auto whole = integer_or_none(key)) return static_cast<double>(*whole);
  return value_or_none<double>(find(key));
}

std::optional<std::string> Metadata::text_or_none(std::string_view key) const {
  return value_or_none<std::string>(find(key));
}

std::optional<bool> Metadata::boolean_or_none(std::string_view key) const {
  return value_or_none<bool>(find(key));
}

const std::vector<int64_t>* Metadata::integers(std::string_view key) const {
  return array_of<int64_t>(find(key));
}

const std::vector<double>* Metadata::numbers(std::string_view key) const {
  return array_of<double>(find(key));
}

const std::vector<std::string>* Metadata::texts(std::string_view key) const {
  return array_of<std::string>(find(key));
}

}  // namespace neuros::formats
