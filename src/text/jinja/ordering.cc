#include "text/jinja/ordering.h"

#include "text/jinja/access.h"
#include "text/jinja/operators.h"
#include "text/jinja/utf8.h"

#include <algorithm>
#include <string>

namespace neuros::text::jinja {

using base::Result;

namespace {

Result<Value> single_attribute(Runtime& runtime, const Value& item, const Value& name,
                               const KeyRule& rule) {
  Value value = TRY(path(runtime, item, name));
  return value.is_undefined() && rule.fallback ? *rule.fallback : value;
}

}  // namespace

Result<Value> attribute_of(Runtime& runtime, const Value& item, const KeyRule& rule) {
  if (!rule.attribute || rule.attribute->is_none()) return item;
  const bool several =
      rule.attribute->is_string() && rule.attribute->string().find(',') != std::string_view::npos;
  if (!several) return single_attribute(runtime, item, *rule.attribute, rule);
  std::vector<Value> values;
  std::string_view rest = rule.attribute->string();
  while (true) {
    const std::string_view part = rest.substr(0, rest.find(','));
    const Value name = TRY(runtime.string(std::string(part)));
    const Value value = TRY(single_attribute(runtime, item, name, rule));
    values.push_back(TRY(fold(runtime, value, rule)));
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
  return runtime.list(std::move(values), SequenceKind::kTuple);
}

Result<Value> fold(Runtime& runtime, const Value& key, const KeyRule& rule) {
  if (rule.case_sensitive || !key.is_string()) return key;
  return runtime.string(utf8::lower(key.string()));
}

Result<std::vector<Keyed>> with_keys(Runtime& runtime, std::vector<Value> items,
                                     const KeyRule& rule) {
  std::vector<Keyed> keyed;
  keyed.reserve(items.size());
  for (Value& item : items) {
    const Value attribute = TRY(attribute_of(runtime, item, rule));
    keyed.push_back({.key = TRY(fold(runtime, attribute, rule)), .value = std::move(item)});
  }
  return keyed;
}

Result<> sort_by_key(Runtime& runtime, std::vector<Keyed>& items, Direction direction) {
  Result<> outcome;
  // After the first error all elements count as equal, which ends the sort soon and in order.
  const auto before = [&](const Keyed& a, const Keyed& b) {
    if (!outcome) return false;
    const bool up = direction == Direction::kAscending;
    outcome = runtime.charge(1);
    if (!outcome) return false;
    const Result<bool> is_less = up ? less(runtime, a.key, b.key) : less(runtime, b.key, a.key);
    if (!is_less) outcome = tl::unexpected(is_less.error());
    return is_less.value_or(false);
  };
  std::stable_sort(items.begin(), items.end(), before);
  return outcome;
}

}  // namespace neuros::text::jinja
