#include "text/jinja/access.h"
#include "text/jinja/ast.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

#include <algorithm>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

Sequence& items_of(const Value& self) {
  return *self.as<Sequence*>();
}
Dict& dict_of(const Value& self) {
  return *self.as<Dict*>();
}

Result<Value> append_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(runtime.append(items_of(self), arguments[0]));
  return Value(None{});
}

Result<Value> extend_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  for (Value& item : TRY(iterate(runtime, arguments[0]))) {
    TRY(runtime.append(items_of(self), std::move(item)));
  }
  return Value(None{});
}

Result<Value> insert_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  auto& items = items_of(self).items;
  const auto size = static_cast<int64_t>(items.size());
  int64_t at = TRY(arguments.integer(0, 0));
  at = std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  TRY(runtime.append(items_of(self), arguments[1]));
  std::rotate(items.begin() + at, items.end() - 1, items.end());
  return Value(None{});
}

Result<Value> list_pop_method(Runtime&, const Value& self, const Arguments& arguments) {
  auto& items = items_of(self).items;
  const auto size = static_cast<int64_t>(items.size());
  int64_t at = TRY(arguments.integer(0, -1));
  if (at < 0) at += size;
  if (at < 0 || at >= size)
    return fail(size == 0 ? "pop from empty list" : "pop index out of range");
  Value item = std::move(items[static_cast<size_t>(at)]);
  items.erase(items.begin() + at);
  return item;
}

/// Index of the first element equal to the value; -1 when there is none.
Result<int64_t> position(Runtime& runtime, const Sequence& sequence, const Value& value) {
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (TRY(equal(runtime, sequence.items[i], value))) return static_cast<int64_t>(i);
  }
  return -1;
}

Result<Value> index_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t at = TRY(position(runtime, items_of(self), arguments[0]));
  if (at < 0) return fail("index: the value is not in the " + std::string(type_name(self)));
  return Value(at);
}

Result<Value> remove_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t at = TRY(position(runtime, items_of(self), arguments[0]));
  if (at < 0) return fail("remove: the value is not in the list");
  items_of(self).items.erase(items_of(self).items.begin() + at);
  return Value(None{});
}

Result<Value> count_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  int64_t count = 0;
  for (const Value& item : items_of(self).items) {
    if (TRY(equal(runtime, item, arguments[0]))) ++count;
  }
  return Value(count);
}

Result<Value> reverse_method(Runtime&, const Value& self, const Arguments&) {
  std::reverse(items_of(self).items.begin(), items_of(self).items.end());
  return Value(None{});
}

Result<Value> list_clear_method(Runtime&, const Value& self, const Arguments&) {
  items_of(self).items.clear();
  return Value(None{});
}

Result<Value> list_copy_method(Runtime& runtime, const Value& self, const Arguments&) {
  return runtime.list(items_of(self).items);
}

Result<Value> get_method(Runtime&, const Value& self, const Arguments& arguments) {
  if (const Value* found = dict_of(self).find(arguments[0])) return *found;
  return arguments.has(1) ? arguments[1] : Value(None{});
}

Result<Value> keys_method(Runtime& runtime, const Value& self, const Arguments&) {
  return runtime.list(TRY(iterate(runtime, self)), SequenceKind::kKeys);
}

Result<Value> values_method(Runtime& runtime, const Value& self, const Arguments&) {
  std::vector<Value> values;
  for (const Dict::Entry& entry : dict_of(self).entries()) values.push_back(entry.value);
  return runtime.list(std::move(values), SequenceKind::kValues);
}

Result<Value> items_method(Runtime& runtime, const Value& self, const Arguments&) {
  std::vector<Value> pairs;
  for (const Dict::Entry& entry : dict_of(self).entries()) {
    pairs.push_back(TRY(runtime.list({entry.key, entry.value}, SequenceKind::kTuple)));
  }
  return runtime.list(std::move(pairs), SequenceKind::kItems);
}

Result<Value> dict_pop_method(Runtime&, const Value& self, const Arguments& arguments) {
  Dict& dict = dict_of(self);
  const Value* found = dict.find(arguments[0]);
  if (!found && arguments.has(1)) return arguments[1];
  if (!found) return fail("pop: the dict has no such key");
  Value value = *found;
  dict.erase(arguments[0]);
  return value;
}

Result<Value> setdefault_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (const Value* found = dict_of(self).find(arguments[0])) return *found;
  Value value = arguments.has(1) ? arguments[1] : Value(None{});
  TRY(runtime.set(dict_of(self), arguments[0], value));
  return value;
}

Result<Value> update_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(update_dict(runtime, dict_of(self), arguments.raw()));
  return Value(None{});
}

Result<Value> dict_clear_method(Runtime&, const Value& self, const Arguments&) {
  dict_of(self).clear();
  return Value(None{});
}

Result<Value> dict_copy_method(Runtime& runtime, const Value& self, const Arguments&) {
  Dict* copy = TRY(runtime.dict());
  TRY(update_dict(runtime, *copy, {.positional = {self}, .named = {}}));
  return Value(copy);
}

Result<Value> cycle_method(Runtime&, const Value& self, const Arguments& arguments) {
  const auto& values = arguments.raw().positional;
  if (values.empty()) return fail("no items for cycling given");
  return values[self.as<Loop*>()->index0 % values.size()];
}

Result<Value> changed_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Loop& loop = *self.as<Loop*>();
  const Value now = TRY(runtime.list(arguments.raw().positional, SequenceKind::kTuple));
  Sequence* last = std::exchange(loop.last_changed, now.as<Sequence*>());
  if (!last) return Value(true);
  return Value(!TRY(equal(runtime, Value(last), now)));
}

constexpr Builtin kListMethods[] = {
    {"append", "object", append_method},       {"extend", "iterable", extend_method},
    {"insert", "index object", insert_method}, {"pop", "index=", list_pop_method},
    {"remove", "value", remove_method},        {"index", "value", index_method},
    {"count", "value", count_method},          {"reverse", "", reverse_method},
    {"clear", "", list_clear_method},          {"copy", "", list_copy_method},
};

constexpr Builtin kTupleMethods[] = {
    {"index", "value", index_method},
    {"count", "value", count_method},
};

constexpr Builtin kDictMethods[] = {
    {"get", "key default=", get_method},
    {"keys", "", keys_method},
    {"values", "", values_method},
    {"items", "", items_method},
    {"pop", "key default=", dict_pop_method},
    {"setdefault", "key default=", setdefault_method},
    {"update", "*", update_method},
    {"clear", "", dict_clear_method},
    {"copy", "", dict_copy_method},
};

constexpr Builtin kLoopMethods[] = {
    {"cycle", "*", cycle_method},
    {"changed", "*", changed_method},
};

Result<> update_from_pairs(Runtime& runtime, Dict& dict, const Value& pairs) {
  for (const Value& item : TRY(iterate(runtime, pairs))) {
    const std::vector<Value> pair = TRY(iterate(runtime, item));
    if (pair.size() != 2) return fail("dict: an element is no pair of key and value");
    TRY(runtime.set(dict, pair[0], pair[1]));
  }
  return {};
}

Result<> update_from_dict(Runtime& runtime, Dict& dict, const Dict& other) {
  const std::vector<Dict::Entry> entries = other.entries();
  for (const Dict::Entry& entry : entries) TRY(runtime.set(dict, entry.key, entry.value));
  return {};
}

}  // namespace

Result<> update_dict(Runtime& runtime, Dict& dict, const CallArguments& arguments) {
  if (arguments.positional.size() > 1) return fail("dict: more than one argument");
  for (const Value& source : arguments.positional) {
    if (source.is<Dict*>()) {
      TRY(update_from_dict(runtime, dict, *source.as<Dict*>()));
    } else if (source.is<Namespace*>()) {
      TRY(update_from_dict(runtime, dict, source.as<Namespace*>()->attributes));
    } else {
      TRY(update_from_pairs(runtime, dict, source));
    }
  }
  for (const auto& [name, value] : arguments.named) TRY(runtime.set(dict, Value(name), value));
  return {};
}

std::span<const Builtin> list_methods() {
  return kListMethods;
}
std::span<const Builtin> tuple_methods() {
  return kTupleMethods;
}
std::span<const Builtin> dict_methods() {
  return kDictMethods;
}
std::span<const Builtin> loop_methods() {
  return kLoopMethods;
}

Result<Value> callable_name(Runtime& runtime, const Callable& callable) {
  const std::string_view name = callable.macro ? callable.macro->name : callable.builtin->name;
  return runtime.string(std::string(name));
}

}  // namespace neuros::text::jinja
