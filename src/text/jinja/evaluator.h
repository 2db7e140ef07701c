#pragma once

/// Expressions to values.

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/builtin.h"
#include "text/jinja/runtime.h"

#include <optional>
#include <string>
#include <string_view>

namespace neuros::text::jinja {

/// Runs the body of a macro; the interpreter of statements implements it.
class MacroRunner {
 public:
  virtual base::Result<Value> run(const Callable& macro, CallArguments arguments) = 0;

 protected:
  ~MacroRunner() = default;
};

class Evaluator {
 public:
  Evaluator(Runtime& runtime, MacroRunner& macros) : runtime_(runtime), macros_(macros) {}

  /// The error of the innermost expression names its position.
  base::Result<Value> evaluate(const Expression& expression, Scope& scope);
  base::Result<Value> apply_steps(const std::vector<FilterStep>& steps, Value value, Scope& scope);
  /// The call of a call block: with `caller` as one more named argument.
  base::Result<Value> call_with(const Expression& call, const Value& caller, Scope& scope);

  /// The error with the position in front, unless it has one or came from raise_exception.
  base::Error located_error(base::Error error, Position position);

 private:
  base::Result<Value> dispatch(const Expression& expression, Scope& scope);

  base::Result<Value> eval(const Literal& node, Scope& scope);
  base::Result<Value> eval(const Name& node, Scope& scope);
  base::Result<Value> eval(const ListDisplay& node, Scope& scope);
  base::Result<Value> eval(const DictDisplay& node, Scope& scope);
  base::Result<Value> eval(const Unary& node, Scope& scope);
  base::Result<Value> eval(const Binary& node, Scope& scope);
  base::Result<Value> eval(const Concatenation& node, Scope& scope);
  base::Result<Value> eval(const Logic& node, Scope& scope);
  base::Result<Value> eval(const Comparison& node, Scope& scope);
  base::Result<Value> eval(const Conditional& node, Scope& scope);
  base::Result<Value> eval(const Attribute& node, Scope& scope);
  base::Result<Value> eval(const Subscript& node, Scope& scope);
  base::Result<Value> eval(const Slice& node, Scope& scope);
  base::Result<Value> eval(const Call& node, Scope& scope);
  base::Result<Value> eval(const Filter& node, Scope& scope);
  base::Result<Value> eval(const Test& node, Scope& scope);

  base::Result<std::optional<int64_t>> slice_bound(const ExpressionPtr& bound, Scope& scope);
  base::Result<CallArguments> arguments(const ArgumentList& list, Scope& scope);
  base::Result<> unpack_named(const Value& source, CallArguments& call);
  base::Result<Value> invoke(const Call& node, const Value* caller, Scope& scope);
  base::Result<Value> call_value(const Value& callee, CallArguments arguments);

  Runtime& runtime_;
  MacroRunner& macros_;
  bool has_position_ = false;  ///< the error on its way up names its position
};

}  // namespace neuros::text::jinja
