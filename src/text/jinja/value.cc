#include "text/jinja/value.h"

#include <functional>

namespace neuros::text::jinja {
namespace {

constexpr size_t kKeyTupleMax = 16;
constexpr size_t kAbsent = static_cast<size_t>(-1);

bool is_scalar(const Value& value) {
  return value.is_number() || value.is_none() || value.is_string();
}

const Sequence* as_tuple(const Value& value) {
  if (!value.is<Sequence*>()) return nullptr;
  const Sequence* sequence = value.as<Sequence*>();
  return sequence->is_tuple() ? sequence : nullptr;
}

size_t hash_string(std::string_view text) {
  return std::hash<std::string_view>()(text);
}

size_t hash_key(const Value& key) {
  if (key.is_string()) return hash_string(key.string());
  if (key.is_number()) return std::hash<double>()(key.real());
  size_t hash = 0;
  if (const Sequence* tuple = as_tuple(key)) {
    for (const Value& item : tuple->items) hash = hash * 31 + hash_key(item);
  }
  return hash;
}

bool equal_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
  return a.real() == b.real();
}

bool equal_keys(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.is_string() && b.is_string()) return a.string() == b.string();
  if (a.is_none() && b.is_none()) return true;
  const Sequence* left = as_tuple(a);
  const Sequence* right = as_tuple(b);
  if (!left || !right || left->items.size() != right->items.size()) return false;
  for (size_t i = 0; i < left->items.size(); ++i) {
    if (!equal_keys(left->items[i], right->items[i])) return false;
  }
  return true;
}

}  // namespace

int64_t Range::length() const {
  // Bounds are limited where ranges are made, so the differences cannot overflow.
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

bool is_key(const Value& value) {
  if (is_scalar(value)) return true;
  const Sequence* tuple = as_tuple(value);
  if (!tuple || tuple->items.size() > kKeyTupleMax) return false;
  for (const Value& item : tuple->items) {
    if (!is_scalar(item)) return false;
  }
  return true;
}

template <typename Matches>
size_t Dict::index_of(size_t hash, const Matches& matches) const {
  if (index_.empty()) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (matches(entries_[i].key)) return i;
    }
    return kAbsent;
  }
  const auto [first, last] = index_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (matches(entries_[it->second].key)) return it->second;
  }
  return kAbsent;
}

const Value* Dict::find(const Value& key) const {
  if (entries_.empty() || !is_key(key)) return nullptr;
  const size_t i = index_of(hash_key(key), [&](const Value& k) { return equal_keys(k, key); });
  return i == kAbsent ? nullptr : &entries_[i].value;
}

const Value* Dict::find(std::string_view key) const {
  const size_t i = index_of(hash_string(key), [key](const Value& candidate) {
    return candidate.is_string() && candidate.string() == key;
  });
  return i == kAbsent ? nullptr : &entries_[i].value;
}

void Dict::set(const Value& key, Value value) {
  const size_t hash = hash_key(key);
  const size_t i = index_of(hash, [&](const Value& k) { return equal_keys(k, key); });
  if (i != kAbsent) {
    entries_[i].value = std::move(value);
    return;
  }
  entries_.push_back({key, std::move(value)});
  if (!index_.empty()) {
    index_.emplace(hash, entries_.size() - 1);
  } else if (entries_.size() > kUnindexedMax) {
    rebuild_index();
  }
}

bool Dict::erase(const Value& key) {
  const size_t i = index_of(hash_key(key), [&](const Value& k) { return equal_keys(k, key); });
  if (i == kAbsent) return false;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
  rebuild_index();
  return true;
}

void Dict::clear() {
  entries_.clear();
  index_.clear();
}

void Dict::rebuild_index() {
  index_.clear();
  if (entries_.size() <= kUnindexedMax) return;
  for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(hash_key(entries_[i].key), i);
}

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.is<bool>()) return "bool";
  if (value.is<int64_t>()) return "int";
  if (value.is_float()) return "float";
  if (value.is_string()) return "str";
  if (value.is<Range*>()) return "range";
  if (value.is<Dict*>()) return "dict";
  if (value.is<Namespace*>()) return "Namespace";
  if (value.is<Loop*>()) return "LoopContext";
  if (value.is<Callable*>()) return "function";
  switch (value.as<Sequence*>()->kind) {
    case SequenceKind::kList:
      return "list";
    case SequenceKind::kTuple:
    case SequenceKind::kGroup:
      return "tuple";
    case SequenceKind::kGenerator:
      return "generator";
    case SequenceKind::kKeys:
      return "dict_keys";
    case SequenceKind::kValues:
      return "dict_values";
    case SequenceKind::kItems:
      return "dict_items";
  }
  return "object";
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_integral()) return value.integer() != 0;
  if (value.is_float()) return value.as<double>() != 0;
  if (value.is_string()) return !value.string().empty();
  if (value.is<Dict*>()) return value.as<Dict*>()->size() > 0;
  if (value.is<Range*>()) return value.as<Range*>()->length() > 0;
  if (!value.is<Sequence*>()) return true;
  const Sequence& sequence = *value.as<Sequence*>();
  return sequence.kind == SequenceKind::kGenerator || !sequence.items.empty();
}

}  // namespace neuros::text::jinja
