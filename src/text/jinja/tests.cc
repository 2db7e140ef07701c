#include "text/jinja/tests.h"

#include "text/jinja/access.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/utf8.h"

#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

/// A test that looks at the value alone.
template <bool (*holds)(const Value&)>
Result<Value> test(Runtime&, const Value& input, const Arguments&) {
  return Value(holds(input));
}

bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_boolean(const Value& value) {
  return value.is<bool>();
}
bool is_the_true(const Value& value) {
  return value.is<bool>() && value.as<bool>();
}
bool is_the_false(const Value& value) {
  return value.is<bool>() && !value.as<bool>();
}
bool is_integer(const Value& value) {
  return value.is<int64_t>();
}
bool is_float(const Value& value) {
  return value.is_float();
}
bool is_number(const Value& value) {
  return value.is_number();
}
bool is_string(const Value& value) {
  return value.is_string();
}
bool is_mapping(const Value& value) {
  return value.is<Dict*>();
}
bool is_callable(const Value& value) {
  return value.is<Callable*>();
}

/// Whether it has a length and elements by subscript.
bool is_sequence(const Value& value) {
  if (value.is<Sequence*>()) return value.as<Sequence*>()->is_indexed();
  return value.is_string() || value.is<Dict*>() || value.is<Range*>() || value.is_undefined();
}

template <CompareOperator op>
Result<Value> comparison(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return Value(TRY(compare(runtime, op, input, arguments[0])));
}

Result<bool> divides(Runtime& runtime, const Value& input, const Value& divisor) {
  const Value rest = TRY(apply(runtime, BinaryOperator::kModulo, input, divisor));
  return rest.is_number() && rest.real() == 0;
}

Result<Value> divisibleby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return Value(TRY(divides(runtime, input, arguments[0])));
}

template <bool even>
Result<Value> parity(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is_string()) return fail("not all arguments converted during string formatting");
  const Value rest = TRY(apply(runtime, BinaryOperator::kModulo, input, Value(int64_t{2})));
  return Value(rest.is_number() && rest.real() == (even ? 0 : 1));
}

/// Identity: equal scalars of one type, or the same container.
Result<Value> sameas(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Value& other = arguments[0];
  if (type_name(input) != type_name(other)) return Value(false);
  if (input.is<Sequence*>()) return Value(input.as<Sequence*>() == other.as<Sequence*>());
  if (input.is<Dict*>()) return Value(input.as<Dict*>() == other.as<Dict*>());
  return Value(TRY(equal(runtime, input, other)));
}

/// Whether a text has letters and all are of one case.
template <auto wanted, auto other>
Result<Value> letter_case(Runtime& runtime, const Value& input, const Arguments&) {
  const Value text = TRY(to_text(runtime, input));
  bool found = false;
  for (size_t at = 0; at < text.string().size();) {
    const char32_t c = utf8::next(text.string(), at);
    if (other(c)) return Value(false);
    found = found || wanted(c);
  }
  return Value(found);
}

constexpr Builtin kTests[] = {
    {"defined", "", test<is_defined>},
    {"undefined", "", test<is_undefined>},
    {"none", "", test<is_none>},
    {"boolean", "", test<is_boolean>},
    {"true", "", test<is_the_true>},
    {"false", "", test<is_the_false>},
    {"integer", "", test<is_integer>},
    {"float", "", test<is_float>},
    {"number", "", test<is_number>},
    {"string", "", test<is_string>},
    {"mapping", "", test<is_mapping>},
    {"sequence", "", test<is_sequence>},
    {"iterable", "", test<is_iterable>},
    {"callable", "", test<is_callable>},
    {"odd", "", parity<false>},
    {"even", "", parity<true>},
    {"divisibleby", "num", divisibleby},
    {"sameas", "other", sameas},
    {"lower", "", letter_case<utf8::is_lower, utf8::is_upper>},
    {"upper", "", letter_case<utf8::is_upper, utf8::is_lower>},
    {"in", "seq", comparison<CompareOperator::kIn>},
    {"eq", "other", comparison<CompareOperator::kEqual>},
    {"equalto", "other", comparison<CompareOperator::kEqual>},
    {"==", "other", comparison<CompareOperator::kEqual>},
    {"ne", "other", comparison<CompareOperator::kNotEqual>},
    {"!=", "other", comparison<CompareOperator::kNotEqual>},
    {"lt", "other", comparison<CompareOperator::kLess>},
    {"lessthan", "other", comparison<CompareOperator::kLess>},
    {"<", "other", comparison<CompareOperator::kLess>},
    {"le", "other", comparison<CompareOperator::kLessEqual>},
    {"<=", "other", comparison<CompareOperator::kLessEqual>},
    {"gt", "other", comparison<CompareOperator::kGreater>},
    {"greaterthan", "other", comparison<CompareOperator::kGreater>},
    {">", "other", comparison<CompareOperator::kGreater>},
    {"ge", "other", comparison<CompareOperator::kGreaterEqual>},
    {">=", "other", comparison<CompareOperator::kGreaterEqual>},
};

}  // namespace

Result<bool> apply_test(Runtime& runtime, std::string_view name, const Value& input,
                        CallArguments arguments) {
  const Builtin* found = find_builtin(kTests, name);
  if (!found) return fail("No test named '" + std::string(name) + "'.");
  return is_true(TRY(call_builtin(runtime, *found, input, std::move(arguments))));
}

}  // namespace neuros::text::jinja
