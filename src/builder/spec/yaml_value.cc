#include "builder/spec/yaml_value.h"

#include "base/byte_size.h"
#include "builder/spec/expression_lexer.h"
#include "builder/spec/limits.h"
#include "builder/spec/nearest_name.h"
#include "builder/spec/reference.h"
#include "formats/printable.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace neuros::builder {
namespace {

using Kind = YamlNode::Kind;

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string range(int64_t min, int64_t max) {
  return std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

tl::unexpected<base::Error> YamlValue::fail_at(const YamlMark& mark, const std::string& path,
                                               const std::string& problem) const {
  return base::fail(file_ + ":" + text_of(mark) + ": " + path + (path.empty() ? "" : ": ") +
                    problem);
}

std::string YamlValue::path_to(std::string_view key) const {
  return path_ + (path_.empty() ? "" : ".") + formats::printable(key, 64);
}

base::Result<std::string> YamlValue::text(size_t characters_max) const {
  if (node_->kind != Kind::kText) {
    const bool quotable = node_->kind == Kind::kBoolean || node_->kind == Kind::kInteger ||
                          node_->kind == Kind::kFloat;
    return fail(description(*node_) + ", expected text" + (quotable ? " (quote it)" : ""));
  }
  if (node_->text.empty()) return fail("an empty text");
  const size_t count = characters(node_->text);
  if (count > characters_max) {
    return fail(std::to_string(count) + " characters, at most " + std::to_string(characters_max));
  }
  return node_->text;
}

base::Result<std::string> YamlValue::id() const {
  std::string name = TRY(text(limits::kIdCharactersMax));
  if (name_length(name) == name.size()) return name;
  return fail(formats::printable(name) +
              ", expected a letter or _, then letters, digits and underscores");
}

base::Result<std::string> YamlValue::id_with_marks() const {
  std::string name = TRY(text(limits::kIdCharactersMax));
  if (id_length(name) == name.size()) return name;
  return fail(formats::printable(name) + ", expected a letter or _, then letters, digits, _ - .");
}

base::Result<int64_t> YamlValue::integer(int64_t min, int64_t max) const {
  int64_t value = 0;
  const std::string_view digits =
      std::string_view(node_->text).substr(node_->text.starts_with('+') ? 1 : 0);
  const auto error = std::from_chars(digits.data(), digits.data() + digits.size(), value).ec;
  if (node_->kind != Kind::kInteger || error != std::errc() || value < min || value > max) {
    return fail(description(*node_) + ", expected " + range(min, max));
  }
  return value;
}

base::Result<double> YamlValue::number() const {
  double value = 0.0;
  const std::string_view digits =
      std::string_view(node_->text).substr(node_->text.starts_with('+') ? 1 : 0);
  const auto error = std::from_chars(digits.data(), digits.data() + digits.size(), value).ec;
  const bool is_number = node_->kind == Kind::kInteger || node_->kind == Kind::kFloat;
  if (!is_number || error != std::errc() || !std::isfinite(value)) {
    return fail(description(*node_) + ", expected a number");
  }
  return value;
}

base::Result<bool> YamlValue::boolean() const {
  if (node_->kind != Kind::kBoolean) return fail(description(*node_) + ", expected true or false");
  return node_->text.front() == 't' || node_->text.front() == 'T';
}

base::Result<int64_t> YamlValue::bytes() const {
  if (node_->kind == Kind::kFloat) {
    return fail(description(*node_) + ", expected whole bytes or a unit, as in 24GB");
  }
  return parsed(base::parse_bytes);
}

base::Result<size_t> YamlValue::choice(std::span<const std::string_view> names) const {
  const auto found = std::find(names.begin(), names.end(), node_->text);
  if (node_->kind == Kind::kText && found != names.end()) {
    return static_cast<size_t>(found - names.begin());
  }
  return fail(description(*node_) + ", expected " + one_of(names) + suggestion(node_->text, names));
}

base::Result<std::string> YamlValue::scalar() const {
  if (node_->kind == Kind::kText || node_->kind == Kind::kInteger || node_->kind == Kind::kFloat) {
    return node_->text;
  }
  return fail(description(*node_) + ", expected a text or a number");
}

base::Result<std::vector<YamlValue>> YamlValue::list(size_t min, size_t max) const {
  if (node_->kind != Kind::kList) return fail(description(*node_) + ", expected a list");
  const size_t count = node_->items.size();
  if (count < min || count > max) {
    return fail(std::to_string(count) + " entries, expected " +
                range(static_cast<int64_t>(min), static_cast<int64_t>(max)));
  }
  std::vector<YamlValue> items;
  for (const auto& item : node_->items) {
    items.emplace_back(*item, file_, path_ + "[" + std::to_string(items.size()) + "]");
  }
  return items;
}

base::Result<std::vector<YamlValue>> YamlValue::one_or_list(size_t max) const {
  if (node_->kind == Kind::kList) return list(1, max);
  return std::vector<YamlValue>{*this};
}

base::Result<std::vector<NamedYamlValue>> YamlValue::entries(size_t min, size_t max) const {
  if (node_->kind != Kind::kMapping) return fail(description(*node_) + ", expected a mapping");
  const size_t count = node_->entries.size();
  if (count < min || count > max) {
    return fail(std::to_string(count) + " entries, expected " +
                range(static_cast<int64_t>(min), static_cast<int64_t>(max)));
  }
  std::vector<NamedYamlValue> all;
  for (const YamlNode::Entry& entry : node_->entries) {
    const bool valid = !entry.key.empty() && id_length(entry.key) == entry.key.size() &&
                       entry.key.size() <= limits::kIdCharactersMax;
    if (!valid) {
      return fail_at(entry.mark, path_to(entry.key),
                     "expected a letter or _, then letters, digits, _ - ., at most " +
                         std::to_string(limits::kIdCharactersMax));
    }
    all.push_back({entry.key, YamlValue(*entry.value, file_, path_to(entry.key))});
  }
  return all;
}

base::Result<> YamlValue::check_keys(std::span<const std::string_view> keys) const {
  if (node_->kind != Kind::kMapping) return fail(description(*node_) + ", expected a mapping");
  for (const YamlNode::Entry& entry : node_->entries) {
    if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
    return fail_at(entry.mark, path_to(entry.key), "unknown key" + suggestion(entry.key, keys));
  }
  return {};
}

std::optional<YamlValue> YamlValue::find(std::string_view key) const {
  for (const YamlNode::Entry& entry : node_->entries) {
    if (entry.key != key) continue;
    YamlValue value(*entry.value, file_, path_to(key));
    // A missing value stands nowhere: its key does.
    if (entry.value->kind == Kind::kNull) value.mark_ = entry.mark;
    return value;
  }
  return std::nullopt;
}

base::Result<YamlValue> YamlValue::required(std::string_view key) const {
  auto value = find(key);
  if (!value) return fail("needs the key " + std::string(key));
  return *std::move(value);
}

}  // namespace neuros::builder
