#pragma once

/// Values of a rendering, with Python's types. Scalars and texts are held by value (texts shared);
/// containers and callables are borrowed from the Runtime that made them.

#include "base/check.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace neuros::text::jinja {

using Text = std::shared_ptr<const std::string>;

struct Sequence;
struct Range;
class Dict;
struct Namespace;
struct Callable;
struct Loop;

/// A name or an element that does not exist; using it fails with `reason`.
struct Undefined {
  Text reason;
};
struct None {};

class Value {
 public:
  Value() = default;
  explicit Value(Undefined undefined) : data_(std::move(undefined)) {}
  explicit Value(None none) : data_(none) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(Text text) : data_(std::move(text)) {}
  explicit Value(Sequence* sequence) : data_(sequence) {}
  explicit Value(Range* range) : data_(range) {}
  explicit Value(Dict* dict) : data_(dict) {}
  explicit Value(Namespace* names) : data_(names) {}
  explicit Value(Callable* callable) : data_(callable) {}
  explicit Value(Loop* loop) : data_(loop) {}

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  /// The value as a T, which it must be.
  template <typename T>
  const T& as() const {
    const T* value = std::get_if<T>(&data_);
    CHECK(value != nullptr);
    return *value;
  }

  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_string() const { return is<Text>(); }
  bool is_float() const { return is<double>(); }
  /// int or bool, which Python computes with as 0 and 1.
  bool is_integral() const { return is<int64_t>() || is<bool>(); }
  bool is_number() const { return is_integral() || is_float(); }

  std::string_view string() const { return *as<Text>(); }
  /// Of an integral value.
  int64_t integer() const { return is<bool>() ? int64_t{as<bool>()} : as<int64_t>(); }
  /// Of a number.
  double real() const { return is_float() ? as<double>() : static_cast<double>(integer()); }

 private:
  std::variant<Undefined, None, bool, int64_t, double, Text, Sequence*, Range*, Dict*, Namespace*,
               Callable*, Loop*>
      data_;
};

enum class SequenceKind {
  kList,
  kTuple,
  kGroup,      ///< (grouper, list), a tuple with these two names
  kGenerator,  ///< what a lazy filter gives: true even when empty, empty after one reading
  kKeys,
  kValues,
  kItems,
};

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;

  bool is_tuple() const { return kind == SequenceKind::kTuple || kind == SequenceKind::kGroup; }
  /// Whether elements can be taken by index.
  bool is_indexed() const { return kind == SequenceKind::kList || is_tuple(); }
};

/// range(start, stop, step); step is not 0.
struct Range {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;

  int64_t length() const;
  int64_t at(int64_t index) const { return start + index * step; }
};

/// Whether a value can be a key: a scalar, a text, or a short tuple of these.
bool is_key(const Value& value);

/// Keeps the order of insertion. Keys compare as in Python: 1, 1.0 and true are one key.
class Dict {
 public:
  struct Entry {
    Value key;
    Value value;
  };

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// Replaces or appends; the key must satisfy is_key.
  void set(const Value& key, Value value);
  /// False when the key is not there. O(size).
  bool erase(const Value& key);
  void clear();

  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }

 private:
  static constexpr size_t kUnindexedMax = 8;

  template <typename Matches>
  size_t index_of(size_t hash, const Matches& matches) const;
  void rebuild_index();

  std::vector<Entry> entries_;
  std::unordered_multimap<size_t, size_t> index_;  ///< key hash -> entry; empty up to kUnindexedMax
};

struct Namespace {
  Dict attributes;
};

/// The `loop` variable of a for statement.
struct Loop {
  std::vector<Value> items;
  size_t length = 0;
  size_t index0 = 0;
  Sequence* last_changed = nullptr;  ///< arguments of the last loop.changed(...)
};

/// Python's name of the type, as in its error messages: "str", "dict", "NoneType".
std::string_view type_name(const Value& value);

/// Python's bool().
bool is_true(const Value& value);

}  // namespace neuros::text::jinja
