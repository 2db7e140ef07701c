#pragma once

/// Reaching into values: attributes, subscripts, slices, elements.

#include "base/result.h"
#include "text/jinja/builtin.h"
#include "text/jinja/runtime.h"

#include <optional>
#include <string_view>
#include <vector>

namespace neuros::text::jinja {

/// `object.name`: a method or attribute, else the element with that key, else undefined.
base::Result<Value> attribute(Runtime& runtime, const Value& object, std::string_view name);
/// `object[key]`: the element, else the attribute of that name, else undefined.
base::Result<Value> subscript(Runtime& runtime, const Value& object, const Value& key);
/// "a.b.0": subscripts one after the other; an integer is an index.
base::Result<Value> path(Runtime& runtime, const Value& object, const Value& names);

/// The row of the table of methods of the object's type; null when it has no such method.
const Builtin* find_method(const Value& object, std::string_view name);

struct SliceBounds {
  std::optional<int64_t> start;
  std::optional<int64_t> stop;
  std::optional<int64_t> step;
};
base::Result<Value> slice(Runtime& runtime, const Value& object, const SliceBounds& bounds);

/// The elements: characters of a text, keys of a dict, nothing of undefined.
base::Result<std::vector<Value>> iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
/// len(value)
base::Result<int64_t> length(Runtime& runtime, const Value& value);

}  // namespace neuros::text::jinja
