#pragma once

/// What one rendering owns: its containers, and the account of its steps, memory and depth.

#include "base/result.h"
#include "text/jinja/limits.h"
#include "text/jinja/value.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace neuros::text::jinja {

struct MacroDefinition;
struct Builtin;
class Scope;

/// A macro with the scope it was defined in, or a builtin function or method (with its object).
struct Callable {
  const MacroDefinition* macro = nullptr;
  Scope* scope = nullptr;
  const Builtin* builtin = nullptr;
  Value self = Value();
};

/// Variables of a block; names point into the template or the inputs.
class Scope {
 public:
  explicit Scope(Scope* parent) : parent_(parent) {}

  /// In this scope or one around it; null when there is none.
  const Value* find(std::string_view name) const;
  /// True when the name is new here.
  bool set(std::string_view name, Value value);

  /// A macro may look into this scope and those around it until the rendering ends.
  void mark_captured();
  bool is_captured() const { return is_captured_; }

  size_t size() const { return variables_.size(); }
  void clear() { variables_.clear(); }

 private:
  Scope* parent_;
  bool is_captured_ = false;
  std::unordered_map<std::string_view, Value> variables_;
};

class Runtime {
 public:
  Runtime(const Limits& limits, int64_t now_unix_s) : limits_(limits), now_unix_s_(now_unix_s) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Counts work: `steps` elements, or the bytes of a text through charge_bytes.
  base::Result<> charge(int64_t steps);
  base::Result<> charge_bytes(size_t bytes) {
    return charge(1 + static_cast<int64_t>(bytes) / kStepBytes);
  }
  /// Counts the work of reading through a whole value once.
  base::Result<> charge_size(const Value& value);

  /// Counts memory; what was taken is given back by release.
  base::Result<> take(int64_t bytes);
  /// Whether `count` more values could be taken, for what is built before it is taken.
  base::Result<> expect_room(int64_t count);
  void release(int64_t bytes) { memory_bytes_ -= bytes; }

  /// One level deeper; false (with no level taken) at the limit.
  bool enter() { return depth_ < limits_.depth_max && ++depth_ > 0; }
  void leave() { --depth_; }
  int depth_max() const { return limits_.depth_max; }

  base::Result<Value> string(std::string text);
  base::Result<Value> list(std::vector<Value> items, SequenceKind kind = SequenceKind::kList);
  base::Result<Value> range(Range range);
  base::Result<Value> callable(Callable callable);
  base::Result<Value> names();
  base::Result<Dict*> dict();
  base::Result<Loop*> loop();
  base::Result<Scope*> scope(Scope* parent);
  /// An empty scope in place of one that is done: the same one unless a macro holds it.
  base::Result<Scope*> next_scope(Scope* done, Scope* parent);

  /// `undefined("'x' is undefined")`.
  static Value undefined(std::string reason) {
    return Value(Undefined{std::make_shared<const std::string>(std::move(reason))});
  }

  /// Adds to a scope, dict or list made here, on account.
  base::Result<> set(Scope& scope, std::string_view name, Value value);
  base::Result<> set(Dict& dict, const Value& key, Value value);
  base::Result<> append(Sequence& list, Value value);

  /// The error of raise_exception: its text is passed on as it is.
  base::Error raised(std::string text);
  bool has_raised() const { return has_raised_; }

  int64_t now_unix_s() const { return now_unix_s_; }
  const Limits& limits() const { return limits_; }

 private:
  template <typename T>
  base::Result<T*> create(T value, int64_t more_bytes = 0);

  const Limits limits_;
  const int64_t now_unix_s_;
  int64_t steps_ = 0;
  int64_t memory_bytes_ = 0;
  int depth_ = 0;
  bool has_raised_ = false;
  /// Everything lives until the rendering ends, so cycles need no care.
  std::tuple<std::deque<Sequence>, std::deque<Range>, std::deque<Dict>, std::deque<Namespace>,
             std::deque<Callable>, std::deque<Loop>, std::deque<Scope>>
      objects_;
};

/// Reads `depth` levels into a value; used by everything that recurses into containers.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime), entered_(runtime.enter()) {}
  ~DepthGuard() {
    if (entered_) runtime_.leave();
  }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

  base::Result<> check() const;

 private:
  Runtime& runtime_;
  const bool entered_;
};

/// A text being built, on account while it grows.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}
  ~TextBuilder() { runtime_.release(static_cast<int64_t>(text_.size())); }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  base::Result<> append(std::string_view piece);
  base::Result<> append_repeated(std::string_view piece, int64_t count);
  size_t size() const { return text_.size(); }
  std::string_view view() const { return text_; }
  base::Result<Value> finish();
  /// The text without the account, for the end of a rendering.
  std::string take();

 private:
  Runtime& runtime_;
  std::string text_;
};

}  // namespace neuros::text::jinja
