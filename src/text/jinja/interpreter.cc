#include "text/jinja/interpreter.h"

#include "text/jinja/access.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/json.h"
#include "text/jinja/print.h"
#include "text/jinja/runtime.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

/// How a statement ended.
enum class Flow { kNext, kBreak, kContinue };

class Interpreter final : public MacroRunner {
 public:
  Interpreter(int64_t now_unix_s, const Limits& limits)
      : runtime_(limits, now_unix_s), evaluator_(runtime_, *this) {}

  Result<std::string> render(const Body& body, const nlohmann::ordered_json& inputs) {
    auto text = render_text(body, inputs);
    if (text || runtime_.has_raised()) return text;
    return tl::unexpected(base::with_context(std::move(text).error(), "template"));
  }

  Result<Value> run(const Callable& callable, CallArguments arguments) override {
    const DepthGuard depth(runtime_);
    TRY(depth.check());
    const MacroDefinition& macro = *callable.macro;
    Scope& scope = *TRY(runtime_.scope(callable.scope));
    TRY(bind(macro, arguments, scope));
    TextBuilder text(runtime_);
    TRY(capture(macro.body, scope, text));
    return text.finish();
  }

 private:
  Result<std::string> render_text(const Body& body, const nlohmann::ordered_json& inputs) {
    if (!inputs.is_object()) return fail("the inputs must be an object");
    Scope* inputs_scope = TRY(runtime_.scope(nullptr));
    for (auto it = inputs.begin(); it != inputs.end(); ++it) {
      TRY(runtime_.set(*inputs_scope, it.key(), TRY(from_json(runtime_, it.value()))));
    }
    TextBuilder out(runtime_);
    out_ = &out;
    TRY(execute(body, *TRY(runtime_.scope(inputs_scope))));
    return out.take();
  }

  Result<Flow> execute(const Body& body, Scope& scope) {
    for (const Statement& statement : body) {
      const Flow flow = TRY(execute(statement, scope));
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Result<Flow> execute(const Statement& statement, Scope& scope) {
    auto flow = dispatch(statement, scope);
    if (flow) return flow;
    return tl::unexpected(evaluator_.located_error(std::move(flow).error(), statement.position));
  }

  Result<Flow> dispatch(const Statement& statement, Scope& scope) {
    const DepthGuard depth(runtime_);
    TRY(depth.check());
    TRY(runtime_.charge(1));
    return std::visit([&](const auto& node) { return exec(node, scope); }, statement.node);
  }

  Result<> write(std::string_view text) {
    TRY(out_->append(text));
    if (static_cast<int64_t>(out_->size()) <= runtime_.limits().output_bytes_max) return {};
    return fail("output of more than " + std::to_string(runtime_.limits().output_bytes_max) +
                " bytes");
  }

  Result<Flow> capture(const Body& body, Scope& scope, TextBuilder& text) {
    TextBuilder* const outer = std::exchange(out_, &text);
    auto flow = execute(body, scope);
    out_ = outer;
    return flow;
  }

  Result<Flow> exec(const TemplateText& node, Scope&) {
    TRY(write(node.text));
    return Flow::kNext;
  }

  Result<Flow> exec(const Print& node, Scope& scope) {
    const Value text = TRY(to_text(runtime_, TRY(evaluator_.evaluate(*node.value, scope))));
    TRY(write(text.string()));
    return Flow::kNext;
  }

  Result<Flow> exec(const If& node, Scope& scope) {
    for (const If::Branch& branch : node.branches) {
      if (is_true(TRY(evaluator_.evaluate(*branch.condition, scope)))) {
        return execute(branch.body, scope);
      }
    }
    return execute(node.otherwise, scope);
  }

  Result<> assign(const Target& target, Value value, Scope& scope) {
    if (!target.parts.empty()) return unpack(target, value, scope);
    if (target.attribute.empty()) {
      return runtime_.set(scope, target.name, std::move(value));
    }
    const Value* names = scope.find(target.name);
    if (!names || !names->is<Namespace*>()) {
      return fail("cannot assign attribute on non-namespace object '" + target.name + "'");
    }
    const auto key = std::make_shared<const std::string>(target.attribute);
    return runtime_.set(names->as<Namespace*>()->attributes, Value(key), std::move(value));
  }

  Result<> unpack(const Target& target, const Value& value, Scope& scope) {
    if (value.is_undefined()) return fail_undefined(value);
    std::vector<Value> items = TRY(iterate(runtime_, value));
    if (items.size() != target.parts.size()) {
      return fail("cannot unpack " + std::to_string(items.size()) + " values, expected " +
                  std::to_string(target.parts.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) {
      TRY(assign(target.parts[i], std::move(items[i]), scope));
    }
    return {};
  }

  /// The elements for which the loop's condition holds.
  Result<std::vector<Value>> loop_items(const For& node, Scope& scope) {
    const Value iterable = TRY(evaluator_.evaluate(*node.iterable, scope));
    std::vector<Value> items = TRY(iterate(runtime_, iterable));
    if (!node.condition) return items;
    std::vector<Value> chosen;
    Scope* inner = nullptr;
    for (Value& item : items) {
      inner = TRY(runtime_.next_scope(inner, &scope));
      TRY(assign(node.target, item, *inner));
      if (is_true(TRY(evaluator_.evaluate(*node.condition, *inner))))
        chosen.push_back(std::move(item));
    }
    return chosen;
  }

  Result<Flow> exec(const For& node, Scope& scope) {
    Loop& loop = *TRY(runtime_.loop());
    loop.items = TRY(loop_items(node, scope));
    loop.length = loop.items.size();
    if (loop.items.empty()) return execute(node.otherwise, *TRY(runtime_.scope(&scope)));
    const auto bytes = static_cast<int64_t>(loop.length * sizeof(Value));
    TRY(runtime_.take(bytes));
    const Flow last = TRY(iterate_loop(node, loop, scope));
    loop.items = {};
    runtime_.release(bytes);
    return last;
  }

  Result<Flow> iterate_loop(const For& node, Loop& loop, Scope& scope) {
    Scope* inner = nullptr;
    for (size_t i = 0; i < loop.length; ++i) {
      loop.index0 = i;
      inner = TRY(runtime_.next_scope(inner, &scope));
      TRY(runtime_.set(*inner, "loop", Value(&loop)));
      TRY(assign(node.target, loop.items[i], *inner));
      if (TRY(execute(node.body, *inner)) == Flow::kBreak) break;
    }
    return Flow::kNext;
  }

  Result<Flow> exec(const Set& node, Scope& scope) {
    TRY(assign(node.target, TRY(evaluator_.evaluate(*node.value, scope)), scope));
    return Flow::kNext;
  }

  Result<Flow> exec(const SetBlock& node, Scope& scope) {
    TextBuilder text(runtime_);
    const Flow flow = TRY(capture(node.body, *TRY(runtime_.scope(&scope)), text));
    Value value = TRY(evaluator_.apply_steps(node.steps, TRY(text.finish()), scope));
    TRY(assign(node.target, std::move(value), scope));
    return flow;
  }

  Result<Flow> exec(const FilterBlock& node, Scope& scope) {
    Scope& inner = *TRY(runtime_.scope(&scope));
    TextBuilder text(runtime_);
    const Flow flow = TRY(capture(node.body, inner, text));
    const Value value = TRY(evaluator_.apply_steps(node.steps, TRY(text.finish()), inner));
    TRY(write(TRY(to_text(runtime_, value)).string()));
    return flow;
  }

  Result<Flow> exec(const With& node, Scope& scope) {
    Scope& inner = *TRY(runtime_.scope(&scope));
    for (const auto& [target, expression] : node.assignments) {
      TRY(assign(target, TRY(evaluator_.evaluate(*expression, scope)), inner));
    }
    return execute(node.body, inner);
  }

  Result<Flow> exec(const Macro& node, Scope& scope) {
    const MacroDefinition& macro = *node.definition;
    TRY(runtime_.set(scope, macro.name,
                     TRY(runtime_.callable({.macro = &macro, .scope = &scope}))));
    return Flow::kNext;
  }

  Result<Flow> exec(const CallBlock& node, Scope& scope) {
    const Value caller = TRY(runtime_.callable({.macro = node.caller.get(), .scope = &scope}));
    const Value value = TRY(evaluator_.call_with(*node.call, caller, scope));
    TRY(write(TRY(to_text(runtime_, value)).string()));
    return Flow::kNext;
  }

  Result<Flow> exec(const ScopedBlock& node, Scope& scope) {
    return execute(node.body, *TRY(runtime_.scope(&scope)));
  }

  Result<Flow> exec(const Break&, Scope&) { return Flow::kBreak; }
  Result<Flow> exec(const Continue&, Scope&) { return Flow::kContinue; }

  /// The named argument of that name, taken out of the list.
  static std::optional<Value> take_named(CallArguments& call, std::string_view name) {
    for (auto it = call.named.begin(); it != call.named.end(); ++it) {
      if (*it->first != name) continue;
      Value value = std::move(it->second);
      call.named.erase(it);
      return value;
    }
    return std::nullopt;
  }

  Result<> bind(const MacroDefinition& macro, CallArguments& call, Scope& scope) {
    const size_t count = macro.parameters.size();
    for (size_t i = 0; i < count; ++i) {
      TRY(bind_parameter(macro, macro.parameters[i], i, call, scope));
    }
    if (auto caller = take_named(call, "caller")) {
      if (!macro.uses_caller)
        return fail("macro '" + macro.name + "' takes no keyword argument 'caller'");
      TRY(runtime_.set(scope, "caller", *std::move(caller)));
    } else if (macro.uses_caller && !scope_has_parameter(macro, "caller")) {
      TRY(runtime_.set(scope, "caller", Runtime::undefined("No caller defined")));
    }
    TRY(bind_varargs(macro, call, scope));
    return bind_kwargs(macro, call, scope);
  }

  static bool scope_has_parameter(const MacroDefinition& macro, std::string_view name) {
    return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                       [name](const MacroParameter& parameter) { return parameter.name == name; });
  }

  Result<> bind_parameter(const MacroDefinition& macro, const MacroParameter& parameter,
                          size_t index, CallArguments& call, Scope& scope) {
    auto named = take_named(call, parameter.name);
    if (index < call.positional.size()) {
      if (named) {
        return fail("macro '" + macro.name + "' got two values for '" + parameter.name + "'");
      }
      named = call.positional[index];
    }
    if (named) {
      TRY(runtime_.set(scope, parameter.name, *std::move(named)));
    } else if (parameter.fallback) {
      TRY(runtime_.set(scope, parameter.name,
                       TRY(evaluator_.evaluate(*parameter.fallback, scope))));
    } else {
      TRY(runtime_.set(scope, parameter.name,
                       Runtime::undefined("parameter '" + parameter.name + "' was not provided")));
    }
    return {};
  }

  Result<> bind_varargs(const MacroDefinition& macro, CallArguments& call, Scope& scope) {
    const size_t used = std::min(macro.parameters.size(), call.positional.size());
    std::vector<Value> rest(call.positional.begin() + static_cast<std::ptrdiff_t>(used),
                            call.positional.end());
    if (macro.uses_varargs) {
      TRY(runtime_.set(scope, "varargs",
                       TRY(runtime_.list(std::move(rest), SequenceKind::kTuple))));
    } else if (!rest.empty()) {
      return fail("macro '" + macro.name + "' takes not more than " +
                  std::to_string(macro.parameters.size()) + " argument(s)");
    }
    return {};
  }

  Result<> bind_kwargs(const MacroDefinition& macro, CallArguments& call, Scope& scope) {
    if (macro.uses_kwargs) {
      Dict* named = TRY(runtime_.dict());
      for (auto& [name, value] : call.named) TRY(runtime_.set(*named, Value(name), value));
      TRY(runtime_.set(scope, "kwargs", Value(named)));
    } else if (!call.named.empty()) {
      return fail("macro '" + macro.name + "' takes no keyword argument '" + *call.named[0].first +
                  "'");
    }
    return {};
  }

  Runtime runtime_;
  Evaluator evaluator_;
  TextBuilder* out_ = nullptr;
};

}  // namespace

Result<std::string> render(const Body& body, const nlohmann::ordered_json& inputs,
                           int64_t now_unix_s, const Limits& limits) {
  Interpreter interpreter(now_unix_s, limits);
  return interpreter.render(body, inputs);
}

}  // namespace neuros::text::jinja
