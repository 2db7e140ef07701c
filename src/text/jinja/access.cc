#include "text/jinja/access.h"

#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/utf8.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

/// How error messages name an object.
std::string object_name(const Value& object) {
  if (object.is_none()) return "None";
  if (object.is<Namespace*>()) return "namespace object";
  return std::string(type_name(object)) + " object";
}

Value no_attribute(const Value& object, std::string_view name) {
  return Runtime::undefined("'" + object_name(object) + "' has no attribute '" + std::string(name) +
                            "'");
}

Result<Value> no_element(Runtime& runtime, const Value& object, const Value& key) {
  if (key.is_string()) return no_attribute(object, key.string());
  TextBuilder reason(runtime);
  TRY(reason.append(object_name(object) + " has no element "));
  TRY(append_repr(runtime, reason, key));
  return Runtime::undefined(std::string(reason.view()));
}

Value loop_neighbour(const Loop& loop, size_t index, std::string_view which) {
  if (index < loop.items.size()) return loop.items[index];
  return Runtime::undefined("there is no " + std::string(which) + " item");
}

std::optional<Value> loop_attribute(const Loop& loop, std::string_view name) {
  const auto number = [](size_t n) { return Value(static_cast<int64_t>(n)); };
  if (name == "index") return number(loop.index0 + 1);
  if (name == "index0") return number(loop.index0);
  if (name == "revindex") return number(loop.length - loop.index0);
  if (name == "revindex0") return number(loop.length - loop.index0 - 1);
  if (name == "first") return Value(loop.index0 == 0);
  if (name == "last") return Value(loop.index0 + 1 == loop.length);
  if (name == "length") return number(loop.length);
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") return loop_neighbour(loop, loop.index0 - 1, "previous");
  if (name == "nextitem") return loop_neighbour(loop, loop.index0 + 1, "next");
  return std::nullopt;
}

/// A named part of an object that is neither method nor element.
Result<std::optional<Value>> own_attribute(Runtime& runtime, const Value& object,
                                           std::string_view name) {
  if (object.is<Loop*>()) return loop_attribute(*object.as<Loop*>(), name);
  if (object.is<Namespace*>()) {
    const Value* value = object.as<Namespace*>()->attributes.find(name);
    return value ? std::optional<Value>(*value) : std::nullopt;
  }
  if (object.is<Sequence*>() && object.as<Sequence*>()->kind == SequenceKind::kGroup) {
    if (name == "grouper") return object.as<Sequence*>()->items[0];
    if (name == "list") return object.as<Sequence*>()->items[1];
  }
  if (object.is<Callable*>() && name == "name")
    return callable_name(runtime, *object.as<Callable*>());
  return std::nullopt;
}

Result<std::optional<Value>> find_attribute(Runtime& runtime, const Value& object,
                                            std::string_view name) {
  if (name.starts_with('_')) return std::nullopt;
  if (const Builtin* method = find_method(object, name)) {
    return TRY(runtime.callable({.builtin = method, .self = object}));
  }
  return own_attribute(runtime, object, name);
}

/// The element at an index that may count from the end.
std::optional<int64_t> absolute(int64_t index, int64_t length) {
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  return index;
}

Result<std::optional<Value>> character(Runtime& runtime, const Value& text, int64_t index) {
  TRY(runtime.charge_size(text));
  const std::string_view all = text.string();
  const auto at = absolute(index, static_cast<int64_t>(utf8::count(all)));
  if (!at) return std::nullopt;
  const size_t start = utf8::offset(all, static_cast<size_t>(*at));
  size_t end = start;
  utf8::next(all, end);
  return TRY(runtime.string(std::string(all.substr(start, end - start))));
}

Result<std::optional<Value>> indexed_element(Runtime& runtime, const Value& object, int64_t index) {
  if (object.is_string()) return character(runtime, object, index);
  if (object.is<Range*>()) {
    const Range& range = *object.as<Range*>();
    const auto at = absolute(index, range.length());
    return at ? std::optional<Value>(Value(range.at(*at))) : std::nullopt;
  }
  if (!object.is<Sequence*>() || !object.as<Sequence*>()->is_indexed()) return std::nullopt;
  const auto& items = object.as<Sequence*>()->items;
  const auto at = absolute(index, static_cast<int64_t>(items.size()));
  return at ? std::optional<Value>(items[static_cast<size_t>(*at)]) : std::nullopt;
}

Result<std::optional<Value>> find_element(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is<Dict*>()) {
    TRY(runtime.charge_size(key));
    const Value* found = object.as<Dict*>()->find(key);
    return found ? std::optional<Value>(*found) : std::nullopt;
  }
  if (!key.is_integral()) return std::nullopt;
  return indexed_element(runtime, object, key.integer());
}

struct SliceRange {
  int64_t start;
  int64_t step;
  int64_t count;
};

/// Python's slice.indices.
SliceRange resolve(const SliceBounds& bounds, int64_t length) {
  constexpr int64_t kStepMax = int64_t{1} << 62;
  const int64_t step = std::clamp(bounds.step.value_or(1), -kStepMax, kStepMax);
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? length : length - 1;
  const auto clamp = [&](const std::optional<int64_t>& bound, int64_t fallback) {
    if (!bound) return fallback;
    return std::clamp(*bound < 0 ? *bound + length : *bound, low, high);
  };
  const int64_t start = clamp(bounds.start, step > 0 ? low : high);
  const int64_t stop = clamp(bounds.stop, step > 0 ? high : low);
  const int64_t span = step > 0 ? stop - start : start - stop;
  const int64_t stride = step > 0 ? step : -step;
  return {.start = start, .step = step, .count = span > 0 ? (span - 1) / stride + 1 : 0};
}

Result<Value> slice_string(Runtime& runtime, std::string_view text, const SliceBounds& bounds) {
  std::vector<size_t> starts;
  for (size_t at = 0; at < text.size(); utf8::next(text, at)) starts.push_back(at);
  const SliceRange range = resolve(bounds, static_cast<int64_t>(starts.size()));
  starts.push_back(text.size());
  std::string out;
  for (int64_t i = 0; i < range.count; ++i) {
    const auto at = static_cast<size_t>(range.start + i * range.step);
    out += text.substr(starts[at], starts[at + 1] - starts[at]);
  }
  return runtime.string(std::move(out));
}

Result<std::vector<Value>> characters(Runtime& runtime, std::string_view text) {
  std::vector<Value> out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    utf8::next(text, at);
    out.push_back(TRY(runtime.string(std::string(text.substr(start, at - start)))));
  }
  return out;
}

Result<std::vector<Value>> numbers(Runtime& runtime, const Range& range) {
  const int64_t length = range.length();
  TRY(runtime.charge(length));
  std::vector<Value> out;
  for (int64_t i = 0; i < length; ++i) out.emplace_back(range.at(i));
  return out;
}

}  // namespace

const Builtin* find_method(const Value& object, std::string_view name) {
  if (object.is_string()) return find_builtin(string_methods(), name);
  if (object.is<Dict*>()) return find_builtin(dict_methods(), name);
  if (object.is<Loop*>()) return find_builtin(loop_methods(), name);
  if (!object.is<Sequence*>()) return nullptr;
  const Sequence& sequence = *object.as<Sequence*>();
  if (sequence.is_tuple()) return find_builtin(tuple_methods(), name);
  return sequence.kind == SequenceKind::kList ? find_builtin(list_methods(), name) : nullptr;
}

Result<Value> attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) return fail_undefined(object);
  if (auto found = TRY(find_attribute(runtime, object, name))) return *std::move(found);
  if (object.is<Dict*>()) {
    if (const Value* element = object.as<Dict*>()->find(name)) return *element;
  }
  return no_attribute(object, name);
}

Result<Value> subscript(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) return fail_undefined(object);
  if (auto found = TRY(find_element(runtime, object, key))) return *std::move(found);
  if (key.is_string()) {
    if (auto found = TRY(find_attribute(runtime, object, key.string()))) return *std::move(found);
  }
  return no_element(runtime, object, key);
}

Result<Value> path(Runtime& runtime, const Value& object, const Value& names) {
  if (!names.is_string()) return subscript(runtime, object, names);
  Value at = object;
  std::string_view rest = names.string();
  while (true) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && parsed.ptr == part.data() + part.size() && index >= 0;
    const Value key = is_index ? Value(index) : TRY(runtime.string(std::string(part)));
    at = TRY(subscript(runtime, at, key));
    if (part.size() == rest.size()) return at;
    rest.remove_prefix(part.size() + 1);
  }
}

Result<Value> slice(Runtime& runtime, const Value& object, const SliceBounds& bounds) {
  if (object.is_undefined()) return fail_undefined(object);
  if (bounds.step == 0) return fail("slice step cannot be zero");
  TRY(runtime.charge_size(object));
  if (object.is_string()) return slice_string(runtime, object.string(), bounds);
  const bool indexed = object.is<Sequence*>() && object.as<Sequence*>()->is_indexed();
  if (!indexed && !object.is<Range*>()) {
    return fail("'" + std::string(type_name(object)) + "' object cannot be sliced");
  }
  const std::vector<Value> items = TRY(iterate(runtime, object));
  const SliceRange range = resolve(bounds, static_cast<int64_t>(items.size()));
  std::vector<Value> out;
  for (int64_t i = 0; i < range.count; ++i) {
    out.push_back(items[static_cast<size_t>(range.start + i * range.step)]);
  }
  const bool tuple = indexed && object.as<Sequence*>()->is_tuple();
  return runtime.list(std::move(out), tuple ? SequenceKind::kTuple : SequenceKind::kList);
}

Result<std::vector<Value>> iterate(Runtime& runtime, const Value& value) {
  TRY(runtime.charge_size(value));
  if (value.is_undefined()) return std::vector<Value>();
  if (value.is_string()) return characters(runtime, value.string());
  if (value.is<Range*>()) return numbers(runtime, *value.as<Range*>());
  if (value.is<Sequence*>()) {
    Sequence& sequence = *value.as<Sequence*>();
    if (sequence.kind == SequenceKind::kGenerator) return std::exchange(sequence.items, {});
    return sequence.items;
  }
  if (!value.is<Dict*>()) {
    return fail("'" + std::string(type_name(value)) + "' object is not iterable");
  }
  std::vector<Value> keys;
  for (const Dict::Entry& entry : value.as<Dict*>()->entries()) keys.push_back(entry.key);
  return keys;
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is<Range*>() || value.is<Sequence*>() ||
         value.is<Dict*>();
}

Result<int64_t> length(Runtime& runtime, const Value& value) {
  TRY(runtime.charge_size(value));
  if (value.is_undefined()) return 0;
  if (value.is_string()) return static_cast<int64_t>(utf8::count(value.string()));
  if (value.is<Range*>()) return value.as<Range*>()->length();
  if (value.is<Dict*>()) return static_cast<int64_t>(value.as<Dict*>()->size());
  if (value.is<Sequence*>() && value.as<Sequence*>()->kind != SequenceKind::kGenerator) {
    return static_cast<int64_t>(value.as<Sequence*>()->items.size());
  }
  return fail("object of type '" + std::string(type_name(value)) + "' has no len()");
}

}  // namespace neuros::text::jinja
