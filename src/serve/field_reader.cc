#include "serve/field_reader.h"

#include <cmath>
#include <sstream>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

std::string as_text(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

std::string shown(const Json& value) {
  constexpr size_t kLongest = 60;
  if (value.is_structured()) return std::string("an ") + value.type_name();
  std::string text = dump(value);
  if (text.size() <= kLongest) return text;
  size_t cut = kLongest;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

const Json* FieldReader::find(const char* name) const {
  if (error_) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string FieldReader::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "." + name;
}

void FieldReader::fail_type(const std::string& name, const std::string& expected,
                            const Json& found) {
  const std::string path = path_of(name);
  fail(invalid_field(path, "'" + path + "' must be " + expected + ", not " + shown(found) + "."));
}

void FieldReader::read(const char* name, bool& out) {
  const Json* field = find(name);
  if (!field) return;
  if (!field->is_boolean()) return fail_type(name, "true or false", *field);
  out = field->get<bool>();
}

void FieldReader::read(const char* name, std::string& out) {
  const Json* field = find(name);
  if (!field) return;
  if (!field->is_string()) return fail_type(name, "a string", *field);
  out = field->get<std::string>();
}

void FieldReader::read(const char* name, float& out, Range<double> range) {
  const Json* field = find(name);
  if (!field) return;
  const double value = field->is_number() ? field->get<double>() : std::nan("");
  if (!(value >= range.low && value <= range.high)) {
    return fail_type(name, "a number from " + as_text(range.low) + " to " + as_text(range.high),
                     *field);
  }
  out = static_cast<float>(value);
}

void FieldReader::read(const char* name, int32_t& out, Range<int64_t> range) {
  const Json* field = find(name);
  if (!field) return;
  // 8.0 is an integer, as JavaScript clients may print one.
  const double value = field->is_number() ? field->get<double>() : std::nan("");
  const auto low = static_cast<double>(range.low), high = static_cast<double>(range.high);
  if (!(value >= low && value <= high) || std::trunc(value) != value) {
    return fail_type(
        name, "an integer from " + std::to_string(range.low) + " to " + std::to_string(range.high),
        *field);
  }
  out = static_cast<int32_t>(value);
}

}  // namespace neuros::serve
