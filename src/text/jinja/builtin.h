#pragma once

/// Builtin functions, methods, filters and tests: one row in a table each, arguments bound by the
/// row's list of parameters.

#include "base/result.h"
#include "text/jinja/runtime.h"

#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::text::jinja {

/// Arguments as written in a call.
struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<Text, Value>> named;
};

/// Arguments in the order of a row's parameters.
class Arguments {
 public:
  static base::Result<Arguments> bind(const Builtin& builtin, CallArguments call);

  bool has(size_t index) const { return index < given_.size() && given_[index]; }
  /// A required parameter.
  const Value& operator[](size_t index) const;
  /// Null when the argument was left out.
  const Value* find(size_t index) const { return has(index) ? &bound_[index] : nullptr; }
  /// As written; of rows with parameters "*" the only way to them.
  const CallArguments& raw() const { return raw_; }

  base::Result<int64_t> integer(size_t index, int64_t fallback) const;
  bool flag(size_t index, bool fallback) const {
    return has(index) ? is_true(bound_[index]) : fallback;
  }
  /// The argument must be a text; None counts as left out.
  base::Result<std::string_view> string(size_t index, std::string_view fallback) const;

 private:
  CallArguments raw_;
  std::vector<Value> bound_;
  std::vector<bool> given_;
};

struct Builtin {
  std::string_view name;
  /// Names separated by blanks, "=" behind those that may be left out; "*" takes anything.
  std::string_view parameters;
  base::Result<Value> (*run)(Runtime& runtime, const Value& self, const Arguments& arguments);
};

/// Counts the work of reading `self` and the arguments, binds and runs.
base::Result<Value> call_builtin(Runtime& runtime, const Builtin& builtin, const Value& self,
                                 CallArguments arguments);

/// Null when no row has the name.
const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name);

/// Python's complaint about the use of an undefined value.
tl::unexpected<base::Error> fail_undefined(const Value& value);

}  // namespace neuros::text::jinja
