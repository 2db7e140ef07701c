#include "text/jinja/access.h"
#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/ordering.h"
#include "text/jinja/print.h"
#include "text/jinja/tests.h"
#include "text/jinja/utf8.h"

#include <algorithm>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

Result<Value> generator(Runtime& runtime, std::vector<Value> items) {
  return runtime.list(std::move(items), SequenceKind::kGenerator);
}

Result<Value> length_filter(Runtime& runtime, const Value& input, const Arguments&) {
  return Value(TRY(length(runtime, input)));
}

Result<Value> list_filter(Runtime& runtime, const Value& input, const Arguments&) {
  return runtime.list(TRY(iterate(runtime, input)));
}

Result<Value> first_filter(Runtime& runtime, const Value& input, const Arguments&) {
  std::vector<Value> items = TRY(iterate(runtime, input));
  if (items.empty()) return Runtime::undefined("No first item, sequence was empty.");
  return items.front();
}

Result<Value> last_filter(Runtime& runtime, const Value& input, const Arguments&) {
  std::vector<Value> items = TRY(iterate(runtime, input));
  if (items.empty()) return Runtime::undefined("No last item, sequence was empty.");
  return items.back();
}

Result<Value> reverse_filter(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is_string()) return slice(runtime, input, {.start = {}, .stop = {}, .step = -1});
  std::vector<Value> items = TRY(iterate(runtime, input));
  std::reverse(items.begin(), items.end());
  return generator(runtime, std::move(items));
}

Result<Value> join_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value separator =
      arguments.has(0) ? TRY(to_text(runtime, arguments[0])) : TRY(runtime.string(""));
  const KeyRule rule{.attribute = arguments.find(1), .case_sensitive = true};
  TextBuilder out(runtime);
  bool first = true;
  for (const Value& item : TRY(iterate(runtime, input))) {
    if (!first) TRY(out.append(separator.string()));
    first = false;
    TRY(append_text(runtime, out, TRY(attribute_of(runtime, item, rule))));
  }
  return out.finish();
}

Result<Value> sum_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const KeyRule rule{.attribute = arguments.find(0), .case_sensitive = true};
  Value total = arguments.has(1) ? arguments[1] : Value(int64_t{0});
  for (const Value& item : TRY(iterate(runtime, input))) {
    const Value value = TRY(attribute_of(runtime, item, rule));
    total = TRY(apply(runtime, BinaryOperator::kAdd, total, value));
  }
  return total;
}

Result<Value> sort_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const KeyRule rule{.attribute = arguments.find(2), .case_sensitive = arguments.flag(1, false)};
  auto keyed = TRY(with_keys(runtime, TRY(iterate(runtime, input)), rule));
  const bool down = arguments.flag(0, false);
  TRY(sort_by_key(runtime, keyed, down ? Direction::kDescending : Direction::kAscending));
  std::vector<Value> items;
  for (Keyed& one : keyed) items.push_back(std::move(one.value));
  return runtime.list(std::move(items));
}

template <bool largest>
Result<Value> extreme_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const KeyRule rule{.attribute = arguments.find(1), .case_sensitive = arguments.flag(0, false)};
  const auto keyed = TRY(with_keys(runtime, TRY(iterate(runtime, input)), rule));
  if (keyed.empty()) return Runtime::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &keyed.front();
  for (const Keyed& one : keyed) {
    const bool better =
        largest ? TRY(less(runtime, best->key, one.key)) : TRY(less(runtime, one.key, best->key));
    if (better) best = &one;
  }
  return best->value;
}

Result<Value> unique_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const KeyRule rule{.attribute = arguments.find(1), .case_sensitive = arguments.flag(0, false)};
  Dict* seen = TRY(runtime.dict());
  std::vector<Value> items;
  for (Keyed& one : TRY(with_keys(runtime, TRY(iterate(runtime, input)), rule))) {
    if (seen->find(one.key)) continue;
    TRY(runtime.set(*seen, one.key, Value(true)));
    items.push_back(std::move(one.value));
  }
  return generator(runtime, std::move(items));
}

Result<Value> make_group(Runtime& runtime, const Value& member, std::vector<Value> members,
                         const KeyRule& rule) {
  const Value grouper = TRY(attribute_of(runtime, member, rule));
  const Value list = TRY(runtime.list(std::move(members)));
  return runtime.list({grouper, list}, SequenceKind::kGroup);
}

Result<Value> groupby_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const KeyRule rule{.attribute = arguments.find(0),
                     .fallback = arguments.find(1),
                     .case_sensitive = arguments.flag(2, false)};
  auto keyed = TRY(with_keys(runtime, TRY(iterate(runtime, input)), rule));
  TRY(sort_by_key(runtime, keyed, Direction::kAscending));
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size();) {
    const Keyed& first = keyed[i];
    std::vector<Value> members;
    while (i < keyed.size() && TRY(equal(runtime, first.key, keyed[i].key))) {
      members.push_back(keyed[i++].value);
    }
    if (members.empty()) members.push_back(keyed[i++].value);  // a key unequal to itself: nan
    groups.push_back(TRY(make_group(runtime, first.value, std::move(members), rule)));
  }
  return runtime.list(std::move(groups));
}

Result<Value> batch_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const int64_t size = TRY(arguments.integer(0, 0));
  if (size < 1) return fail("batch: the size must be at least 1");
  const std::vector<Value> items = TRY(iterate(runtime, input));
  const Value* fill = arguments.has(1) && !arguments[1].is_none() ? arguments.find(1) : nullptr;
  if (fill) TRY(runtime.expect_room(size));
  std::vector<Value> rows;
  std::vector<Value> row;
  for (size_t i = 0; i < items.size(); ++i) {
    row.push_back(items[i]);
    const bool full = static_cast<int64_t>(row.size()) == size;
    if (!full && i + 1 < items.size()) continue;
    while (fill && static_cast<int64_t>(row.size()) < size) {
      TRY(runtime.charge(1));
      row.push_back(*fill);
    }
    rows.push_back(TRY(runtime.list(std::exchange(row, {}))));
  }
  return generator(runtime, std::move(rows));
}

Result<Value> slice_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const int64_t count = TRY(arguments.integer(0, 0));
  if (count < 1) return fail("slice: the number of slices must be at least 1");
  const std::vector<Value> items = TRY(iterate(runtime, input));
  const Value* fill = arguments.has(1) && !arguments[1].is_none() ? arguments.find(1) : nullptr;
  const auto total = static_cast<int64_t>(items.size());
  TRY(runtime.charge(count));
  std::vector<Value> slices;
  auto at = items.begin();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t size = total / count + (i < total % count ? 1 : 0);
    std::vector<Value> part(at, at + size);
    at += size;
    if (fill && i >= total % count) part.push_back(*fill);
    slices.push_back(TRY(runtime.list(std::move(part))));
  }
  return generator(runtime, std::move(slices));
}

Result<Value> items_filter(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is_undefined()) return generator(runtime, {});
  if (!input.is<Dict*>()) return fail("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (const Dict::Entry& entry : input.as<Dict*>()->entries()) {
    pairs.push_back(TRY(runtime.list({entry.key, entry.value}, SequenceKind::kTuple)));
  }
  return generator(runtime, std::move(pairs));
}

Result<Value> dictsort_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (input.is_undefined()) return fail_undefined(input);
  if (!input.is<Dict*>())
    return fail("dictsort: '" + std::string(type_name(input)) + "' is no dict");
  const std::string_view by = TRY(arguments.string(1, "key"));
  if (by != "key" && by != "value") return fail("dictsort: by is either 'key' or 'value'");
  const KeyRule rule{.case_sensitive = arguments.flag(0, false)};
  std::vector<Keyed> keyed;
  for (const Dict::Entry& entry : input.as<Dict*>()->entries()) {
    const Value key = TRY(fold(runtime, by == "key" ? entry.key : entry.value, rule));
    const Value pair = TRY(runtime.list({entry.key, entry.value}, SequenceKind::kTuple));
    keyed.push_back({.key = key, .value = pair});
  }
  const bool down = arguments.flag(2, false);
  TRY(sort_by_key(runtime, keyed, down ? Direction::kDescending : Direction::kAscending));
  std::vector<Value> items;
  for (Keyed& one : keyed) items.push_back(std::move(one.value));
  return runtime.list(std::move(items));
}

/// The elements; nothing of anything false, None included, as map and select have it.
Result<std::vector<Value>> elements(Runtime& runtime, const Value& input) {
  if (!is_true(input)) return std::vector<Value>();
  return iterate(runtime, input);
}

/// Arguments after the first `count`.
CallArguments rest_of(const CallArguments& call, size_t count) {
  CallArguments rest = call;
  const auto used = static_cast<std::ptrdiff_t>(std::min(count, rest.positional.size()));
  rest.positional.erase(rest.positional.begin(), rest.positional.begin() + used);
  return rest;
}

Result<Value> map_attribute(Runtime& runtime, const Value& input, const CallArguments& call) {
  const Value* attribute = nullptr;
  const Value* fallback = nullptr;
  for (const auto& [name, value] : call.named) {
    if (*name == "attribute") {
      attribute = &value;
    } else if (*name == "default") {
      fallback = &value;
    } else {
      return fail("map: unexpected argument '" + *name + "'");
    }
  }
  if (!attribute) return fail("map requires a filter argument");
  const KeyRule rule{.attribute = attribute, .fallback = fallback, .case_sensitive = true};
  std::vector<Value> out;
  for (const Value& item : TRY(elements(runtime, input))) {
    out.push_back(TRY(attribute_of(runtime, item, rule)));
  }
  return generator(runtime, std::move(out));
}

Result<Value> map_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const CallArguments& call = arguments.raw();
  if (call.positional.empty()) return map_attribute(runtime, input, call);
  if (!call.positional[0].is_string()) return fail("map: the filter's name must be a text");
  const std::string_view name = call.positional[0].string();
  const CallArguments rest = rest_of(call, 1);
  std::vector<Value> out;
  for (const Value& item : TRY(elements(runtime, input))) {
    out.push_back(TRY(apply_filter(runtime, name, item, rest)));
  }
  return generator(runtime, std::move(out));
}

/// Keeps the elements whose test (or truth, when no test is named) gives `keep`.
Result<Value> choose(Runtime& runtime, const Value& input, const CallArguments& call,
                     const KeyRule& rule, bool keep) {
  const bool has_test = !call.positional.empty();
  if (has_test && !call.positional[0].is_string())
    return fail("select: a test's name must be a text");
  const CallArguments rest = rest_of(call, 1);
  std::vector<Value> out;
  for (const Value& item : TRY(elements(runtime, input))) {
    const Value value = TRY(attribute_of(runtime, item, rule));
    const bool holds = has_test ? TRY(apply_test(runtime, call.positional[0].string(), value, rest))
                                : is_true(value);
    if (holds == keep) out.push_back(item);
  }
  return generator(runtime, std::move(out));
}

template <bool keep>
Result<Value> select_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return choose(runtime, input, arguments.raw(), KeyRule{.case_sensitive = true}, keep);
}

template <bool keep>
Result<Value> selectattr_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const CallArguments& call = arguments.raw();
  if (call.positional.empty()) return fail("selectattr: the attribute's name is missing");
  const KeyRule rule{.attribute = &call.positional[0], .case_sensitive = true};
  return choose(runtime, input, rest_of(call, 1), rule, keep);
}

constexpr Builtin kFilters[] = {
    {"length", "", length_filter},
    {"count", "", length_filter},
    {"list", "", list_filter},
    {"first", "", first_filter},
    {"last", "", last_filter},
    {"reverse", "", reverse_filter},
    {"join", "d= attribute=", join_filter},
    {"sum", "attribute= start=", sum_filter},
    {"sort", "reverse= case_sensitive= attribute=", sort_filter},
    {"min", "case_sensitive= attribute=", extreme_filter<false>},
    {"max", "case_sensitive= attribute=", extreme_filter<true>},
    {"unique", "case_sensitive= attribute=", unique_filter},
    {"groupby", "attribute default= case_sensitive=", groupby_filter},
    {"batch", "linecount fill_with=", batch_filter},
    {"slice", "slices fill_with=", slice_filter},
    {"items", "", items_filter},
    {"dictsort", "case_sensitive= by= reverse=", dictsort_filter},
    {"map", "*", map_filter},
    {"select", "*", select_filter<true>},
    {"reject", "*", select_filter<false>},
    {"selectattr", "*", selectattr_filter<true>},
    {"rejectattr", "*", selectattr_filter<false>},
};

}  // namespace

std::span<const Builtin> sequence_filters() {
  return kFilters;
}

}  // namespace neuros::text::jinja
