#pragma once

/// Keys of elements and sorting by them, for sort, min, max, unique, groupby and dictsort.

#include "base/result.h"
#include "text/jinja/runtime.h"

#include <utility>
#include <vector>

namespace neuros::text::jinja {

/// What to compare elements by.
struct KeyRule {
  const Value* attribute = nullptr;  ///< null: the element itself
  const Value* fallback = nullptr;   ///< for an undefined attribute
  bool case_sensitive = false;
};

/// The attribute as it is, or a tuple of them for "a,b".
base::Result<Value> attribute_of(Runtime& runtime, const Value& item, const KeyRule& rule);
/// Texts in lower case unless the rule is case sensitive.
base::Result<Value> fold(Runtime& runtime, const Value& key, const KeyRule& rule);

struct Keyed {
  Value key;
  Value value;
};

base::Result<std::vector<Keyed>> with_keys(Runtime& runtime, std::vector<Value> items,
                                           const KeyRule& rule);

enum class Direction { kAscending, kDescending };

/// Stable in both directions.
base::Result<> sort_by_key(Runtime& runtime, std::vector<Keyed>& items, Direction direction);

}  // namespace neuros::text::jinja
