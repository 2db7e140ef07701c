#include "text/jinja/evaluator.h"

#include "text/jinja/access.h"
#include "text/jinja/filters.h"
#include "text/jinja/functions.h"
#include "text/jinja/lexer.h"
#include "text/jinja/print.h"
#include "text/jinja/tests.h"

#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

base::Error Evaluator::located_error(base::Error error, Position position) {
  if (!runtime_.has_raised() && !has_position_) error.message = located(position, error.message);
  has_position_ = true;
  return error;
}

Result<Value> Evaluator::evaluate(const Expression& expression, Scope& scope) {
  auto value = dispatch(expression, scope);
  if (value) return value;
  return tl::unexpected(located_error(std::move(value).error(), expression.position));
}

Result<Value> Evaluator::dispatch(const Expression& expression, Scope& scope) {
  const DepthGuard depth(runtime_);
  TRY(depth.check());
  TRY(runtime_.charge(1));
  return std::visit([&](const auto& node) { return eval(node, scope); }, expression.node);
}

Result<Value> Evaluator::eval(const Literal& node, Scope&) {
  return node.value;
}

Result<Value> Evaluator::eval(const Name& node, Scope& scope) {
  if (const Value* value = scope.find(node.name)) return *value;
  if (const Builtin* function = find_builtin(global_functions(), node.name)) {
    return runtime_.callable({.builtin = function});
  }
  return Runtime::undefined("'" + node.name + "' is undefined");
}

Result<Value> Evaluator::eval(const ListDisplay& node, Scope& scope) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const auto& item : node.items) items.push_back(TRY(evaluate(*item, scope)));
  return runtime_.list(std::move(items), node.kind);
}

Result<Value> Evaluator::eval(const DictDisplay& node, Scope& scope) {
  Dict* dict = TRY(runtime_.dict());
  for (const auto& [key, value] : node.entries) {
    const Value evaluated_key = TRY(evaluate(*key, scope));
    TRY(runtime_.set(*dict, evaluated_key, TRY(evaluate(*value, scope))));
  }
  return Value(dict);
}

Result<Value> Evaluator::eval(const Unary& node, Scope& scope) {
  const Value operand = TRY(evaluate(*node.operand, scope));
  if (node.op == UnaryOperator::kNot) return Value(!is_true(operand));
  const Value negated = TRY(negate(operand));
  return node.op == UnaryOperator::kNegate ? negated : negate(negated);
}

Result<Value> Evaluator::eval(const Binary& node, Scope& scope) {
  const Value left = TRY(evaluate(*node.left, scope));
  const Value right = TRY(evaluate(*node.right, scope));
  return apply(runtime_, node.op, left, right);
}

Result<Value> Evaluator::eval(const Concatenation& node, Scope& scope) {
  TextBuilder out(runtime_);
  for (const auto& part : node.parts) {
    TRY(append_text(runtime_, out, TRY(evaluate(*part, scope))));
  }
  return out.finish();
}

Result<Value> Evaluator::eval(const Logic& node, Scope& scope) {
  Value left = TRY(evaluate(*node.left, scope));
  if (is_true(left) == node.stops_at) return left;
  return evaluate(*node.right, scope);
}

Result<Value> Evaluator::eval(const Comparison& node, Scope& scope) {
  Value left = TRY(evaluate(*node.first, scope));
  for (const auto& [op, operand] : node.rest) {
    Value right = TRY(evaluate(*operand, scope));
    if (!TRY(compare(runtime_, op, left, right))) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Evaluator::eval(const Conditional& node, Scope& scope) {
  if (is_true(TRY(evaluate(*node.condition, scope)))) return evaluate(*node.value, scope);
  if (node.otherwise) return evaluate(*node.otherwise, scope);
  return Runtime::undefined("the inline if-expression evaluated to false and has no else");
}

Result<Value> Evaluator::eval(const Attribute& node, Scope& scope) {
  return attribute(runtime_, TRY(evaluate(*node.object, scope)), node.name);
}

Result<Value> Evaluator::eval(const Subscript& node, Scope& scope) {
  const Value object = TRY(evaluate(*node.object, scope));
  return subscript(runtime_, object, TRY(evaluate(*node.key, scope)));
}

Result<std::optional<int64_t>> Evaluator::slice_bound(const ExpressionPtr& bound, Scope& scope) {
  if (!bound) return std::nullopt;
  const Value value = TRY(evaluate(*bound, scope));
  if (value.is_none()) return std::nullopt;
  if (value.is_undefined()) return fail_undefined(value);
  if (!value.is_integral()) return fail("slice indices must be integers or None");
  return value.integer();
}

Result<Value> Evaluator::eval(const Slice& node, Scope& scope) {
  const Value object = TRY(evaluate(*node.object, scope));
  SliceBounds bounds;
  bounds.start = TRY(slice_bound(node.start, scope));
  bounds.stop = TRY(slice_bound(node.stop, scope));
  bounds.step = TRY(slice_bound(node.step, scope));
  return slice(runtime_, object, bounds);
}

Result<Value> Evaluator::eval(const Filter& node, Scope& scope) {
  return apply_steps(node.steps, TRY(evaluate(*node.input, scope)), scope);
}

Result<Value> Evaluator::apply_steps(const std::vector<FilterStep>& steps, Value value,
                                     Scope& scope) {
  for (const FilterStep& step : steps) {
    auto call = TRY(arguments(step.arguments, scope));
    auto result = apply_filter(runtime_, step.name, value, std::move(call));
    if (!result) return tl::unexpected(located_error(std::move(result).error(), step.position));
    value = *std::move(result);
  }
  return value;
}

Result<Value> Evaluator::eval(const Test& node, Scope& scope) {
  const Value input = TRY(evaluate(*node.input, scope));
  return Value(TRY(apply_test(runtime_, node.name, input, TRY(arguments(node.arguments, scope)))));
}

Result<> Evaluator::unpack_named(const Value& source, CallArguments& call) {
  if (!source.is<Dict*>()) return fail("the argument after ** must be a dict");
  TRY(runtime_.charge_size(source));
  for (const Dict::Entry& entry : source.as<Dict*>()->entries()) {
    if (!entry.key.is_string()) return fail("keywords must be strings");
    call.named.emplace_back(entry.key.as<Text>(), entry.value);
  }
  return {};
}

Result<CallArguments> Evaluator::arguments(const ArgumentList& list, Scope& scope) {
  CallArguments call;
  for (const auto& value : list.positional) call.positional.push_back(TRY(evaluate(*value, scope)));
  if (list.more_positional) {
    const Value more = TRY(evaluate(*list.more_positional, scope));
    for (Value& value : TRY(iterate(runtime_, more))) call.positional.push_back(std::move(value));
  }
  for (const auto& [name, value] : list.named) {
    call.named.emplace_back(name, TRY(evaluate(*value, scope)));
  }
  if (list.more_named) TRY(unpack_named(TRY(evaluate(*list.more_named, scope)), call));
  return call;
}

Result<Value> Evaluator::eval(const Call& node, Scope& scope) {
  return invoke(node, nullptr, scope);
}

Result<Value> Evaluator::call_with(const Expression& call, const Value& caller, Scope& scope) {
  auto value = invoke(std::get<Call>(call.node), &caller, scope);
  if (value) return value;
  return tl::unexpected(located_error(std::move(value).error(), call.position));
}

Result<Value> Evaluator::invoke(const Call& node, const Value* caller, Scope& scope) {
  static const Text kCaller = std::make_shared<const std::string>("caller");
  const auto* method = std::get_if<Attribute>(&node.callee->node);
  Value callee = TRY(evaluate(method ? *method->object : *node.callee, scope));
  const Builtin* builtin = method ? find_method(callee, method->name) : nullptr;
  if (method && !builtin) callee = TRY(attribute(runtime_, callee, method->name));
  CallArguments call = TRY(arguments(node.arguments, scope));
  if (caller) call.named.emplace_back(kCaller, *caller);
  if (builtin) return call_builtin(runtime_, *builtin, callee, std::move(call));
  return call_value(callee, std::move(call));
}

Result<Value> Evaluator::call_value(const Value& callee, CallArguments arguments) {
  if (callee.is_undefined()) return fail_undefined(callee);
  if (!callee.is<Callable*>()) {
    return fail("'" + std::string(type_name(callee)) + "' object is not callable");
  }
  const Callable& callable = *callee.as<Callable*>();
  if (callable.macro) return macros_.run(callable, std::move(arguments));
  return call_builtin(runtime_, *callable.builtin, callable.self, std::move(arguments));
}

}  // namespace neuros::text::jinja
