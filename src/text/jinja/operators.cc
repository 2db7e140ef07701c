#include "text/jinja/operators.h"

#include "text/jinja/access.h"
#include "text/jinja/builtin.h"
#include "text/jinja/format.h"
#include "text/jinja/strings.h"

#include <cmath>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

std::string_view symbol(BinaryOperator op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

std::string_view symbol(CompareOperator op) {
  constexpr std::string_view kSymbols[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<size_t>(op)];
}

std::string quoted_type(const Value& value) {
  return "'" + std::string(type_name(value)) + "'";
}

tl::unexpected<base::Error> unsupported(BinaryOperator op, const Value& left, const Value& right) {
  if (left.is_undefined()) return fail_undefined(left);
  if (right.is_undefined()) return fail_undefined(right);
  if (op == BinaryOperator::kAdd && left.is_string()) {
    return fail("can only concatenate str (not \"" + std::string(type_name(right)) + "\") to str");
  }
  return fail("unsupported operand type(s) for " + std::string(symbol(op)) + ": " +
              quoted_type(left) + " and " + quoted_type(right));
}

Result<Value> power_of_integers(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return fail("zero cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    const bool odd = (exponent & 1) != 0;
    exponent >>= 1;
    if (odd && __builtin_mul_overflow(result, base, &result)) return fail("integer overflow in **");
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
      return fail("integer overflow in **");
    }
  }
  return Value(result);
}

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Result<Value> apply_integers(BinaryOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOperator::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOperator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOperator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOperator::kPower:
      return power_of_integers(a, b);
    default:
      if (b == 0) return fail("division by zero");
      if (op == BinaryOperator::kDivide)
        return Value(static_cast<double>(a) / static_cast<double>(b));
      if (b == -1) {
        if (op == BinaryOperator::kModulo) return Value(int64_t{0});
        overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
        break;
      }
      result = floor_divide(a, b);
      if (op == BinaryOperator::kModulo) result = a - result * b;
  }
  if (overflow) return fail("integer overflow in " + std::string(symbol(op)));
  return Value(result);
}

double modulo(double a, double b) {
  const double remainder = std::fmod(a, b);
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

Result<Value> apply_floats(BinaryOperator op, double a, double b) {
  const bool divides = op == BinaryOperator::kDivide || op == BinaryOperator::kFloorDivide ||
                       op == BinaryOperator::kModulo;
  if (divides && b == 0) return fail("float division by zero");
  switch (op) {
    case BinaryOperator::kAdd:
      return Value(a + b);
    case BinaryOperator::kSubtract:
      return Value(a - b);
    case BinaryOperator::kMultiply:
      return Value(a * b);
    case BinaryOperator::kDivide:
      return Value(a / b);
    case BinaryOperator::kFloorDivide:
      return Value(std::floor((a - modulo(a, b)) / b + 0.5));
    case BinaryOperator::kModulo:
      return Value(modulo(a, b));
    case BinaryOperator::kPower:
      break;
  }
  const double result = std::pow(a, b);
  if (std::isnan(result) && a < 0) return fail("negative number raised to a fraction");
  return Value(result);
}

Result<Value> concatenate(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_string()) {
    TextBuilder out(runtime);
    TRY(out.append(left.string()));
    TRY(out.append(right.string()));
    return out.finish();
  }
  TRY(runtime.charge_size(left));
  TRY(runtime.charge_size(right));
  std::vector<Value> items = left.as<Sequence*>()->items;
  const auto& more = right.as<Sequence*>()->items;
  items.insert(items.end(), more.begin(), more.end());
  return runtime.list(std::move(items), left.as<Sequence*>()->kind);
}

bool can_concatenate(const Value& left, const Value& right) {
  if (left.is_string() && right.is_string()) return true;
  if (!left.is<Sequence*>() || !right.is<Sequence*>()) return false;
  const Sequence& a = *left.as<Sequence*>();
  const Sequence& b = *right.as<Sequence*>();
  return a.is_indexed() && b.is_indexed() && a.is_tuple() == b.is_tuple();
}

bool can_repeat(const Value& value) {
  return value.is_string() || (value.is<Sequence*>() && value.as<Sequence*>()->is_indexed());
}

Result<Value> repeat(Runtime& runtime, const Value& value, int64_t count) {
  if (value.is_string()) {
    TextBuilder out(runtime);
    TRY(out.append_repeated(value.string(), count));
    return out.finish();
  }
  const Sequence& sequence = *value.as<Sequence*>();
  const auto size = static_cast<int64_t>(sequence.items.size());
  if (size > 0 && count > 0) {
    TRY(runtime.expect_room(count));
    TRY(runtime.expect_room(count * size));
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count && size > 0; ++i) {
    TRY(runtime.charge_size(value));
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return runtime.list(std::move(items), sequence.kind);
}

/// Whether `left op right` holds given that of "less" and "equal" between them.
bool holds(CompareOperator op, bool is_less, bool is_equal) {
  switch (op) {
    case CompareOperator::kLess:
      return is_less;
    case CompareOperator::kLessEqual:
      return is_less || is_equal;
    case CompareOperator::kGreater:
      return !is_less && !is_equal;
    default:
      return !is_less;
  }
}

bool compare_floats(CompareOperator op, double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return false;
  return holds(op, a < b, a == b);
}

Result<bool> compare_sequences(Runtime& runtime, CompareOperator op, const Sequence& a,
                               const Sequence& b) {
  for (size_t i = 0; i < a.items.size() && i < b.items.size(); ++i) {
    if (!TRY(equal(runtime, a.items[i], b.items[i]))) {
      return compare(runtime, op, a.items[i], b.items[i]);
    }
  }
  return holds(op, a.items.size() < b.items.size(), a.items.size() == b.items.size());
}

Result<bool> compare_order(Runtime& runtime, CompareOperator op, const Value& left,
                           const Value& right) {
  const DepthGuard depth(runtime);
  TRY(depth.check());
  if (left.is_integral() && right.is_integral()) {
    return holds(op, left.integer() < right.integer(), left.integer() == right.integer());
  }
  if (left.is_number() && right.is_number()) return compare_floats(op, left.real(), right.real());
  if (left.is_string() && right.is_string()) {
    TRY(runtime.charge_size(left));
    const int order = left.string().compare(right.string());
    return holds(op, order < 0, order == 0);
  }
  if (can_concatenate(left, right)) {
    return compare_sequences(runtime, op, *left.as<Sequence*>(), *right.as<Sequence*>());
  }
  if (left.is_undefined()) return fail_undefined(left);
  if (right.is_undefined()) return fail_undefined(right);
  return fail("'" + std::string(symbol(op)) + "' not supported between instances of " +
              quoted_type(left) + " and " + quoted_type(right));
}

Result<bool> equal_sequences(Runtime& runtime, const Sequence& a, const Sequence& b) {
  if (&a == &b) return true;
  if (!a.is_indexed() || !b.is_indexed() || a.is_tuple() != b.is_tuple()) return false;
  if (a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!TRY(equal(runtime, a.items[i], b.items[i]))) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.size() != b.size()) return false;
  for (const Dict::Entry& entry : a.entries()) {
    TRY(runtime.charge_size(entry.key));
    const Value* other = b.find(entry.key);
    if (!other || !TRY(equal(runtime, entry.value, *other))) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  const int64_t length = a.length();
  if (length != b.length()) return false;
  return length == 0 || (a.start == b.start && (length == 1 || a.step == b.step));
}

template <typename T>
bool same_object(const Value& left, const Value& right) {
  return left.is<T>() && right.is<T>() && left.as<T>() == right.as<T>();
}

bool range_contains(const Range& range, const Value& item) {
  if (!item.is_integral()) return false;
  const int64_t value = item.integer();
  const bool inside = range.step > 0 ? value >= range.start && value < range.stop
                                     : value <= range.start && value > range.stop;
  return inside && (value - range.start) % range.step == 0;
}

}  // namespace

Result<Value> apply(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) {
    return apply_integers(op, left.integer(), right.integer());
  }
  if (left.is_number() && right.is_number()) return apply_floats(op, left.real(), right.real());
  if (op == BinaryOperator::kAdd && can_concatenate(left, right)) {
    return concatenate(runtime, left, right);
  }
  if (op == BinaryOperator::kModulo && left.is_string())
    return percent_format(runtime, left, right);
  if (op == BinaryOperator::kMultiply) {
    if (can_repeat(left) && right.is_integral()) return repeat(runtime, left, right.integer());
    if (left.is_integral() && can_repeat(right)) return repeat(runtime, right, left.integer());
  }
  return unsupported(op, left, right);
}

Result<Value> negate(const Value& value) {
  if (value.is_float()) return Value(-value.real());
  if (value.is_undefined()) return fail_undefined(value);
  if (!value.is_integral()) return fail("bad operand type for unary -: " + quoted_type(value));
  int64_t result = 0;
  if (__builtin_sub_overflow(int64_t{0}, value.integer(), &result))
    return fail("integer overflow in -");
  return Value(result);
}

Result<bool> compare(Runtime& runtime, CompareOperator op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOperator::kEqual:
      return equal(runtime, left, right);
    case CompareOperator::kNotEqual:
      return !TRY(equal(runtime, left, right));
    case CompareOperator::kIn:
      return contains(runtime, right, left);
    case CompareOperator::kNotIn:
      return !TRY(contains(runtime, right, left));
    default:
      return compare_order(runtime, op, left, right);
  }
}

Result<bool> equal(Runtime& runtime, const Value& left, const Value& right) {
  const DepthGuard depth(runtime);
  TRY(depth.check());
  TRY(runtime.charge(1));
  if (left.is_integral() && right.is_integral()) return left.integer() == right.integer();
  if (left.is_number() && right.is_number()) return left.real() == right.real();
  if (left.is_string() && right.is_string()) {
    if (left.string().size() != right.string().size()) return false;
    TRY(runtime.charge_size(left));
    return left.string() == right.string();
  }
  if (left.is<Sequence*>() && right.is<Sequence*>()) {
    return equal_sequences(runtime, *left.as<Sequence*>(), *right.as<Sequence*>());
  }
  if (left.is<Dict*>() && right.is<Dict*>()) {
    return equal_dicts(runtime, *left.as<Dict*>(), *right.as<Dict*>());
  }
  if (left.is<Range*>() && right.is<Range*>()) {
    return equal_ranges(*left.as<Range*>(), *right.as<Range*>());
  }
  return (left.is_none() && right.is_none()) || (left.is_undefined() && right.is_undefined()) ||
         same_object<Namespace*>(left, right) || same_object<Callable*>(left, right) ||
         same_object<Loop*>(left, right);
}

Result<bool> less(Runtime& runtime, const Value& left, const Value& right) {
  return compare_order(runtime, CompareOperator::kLess, left, right);
}

Result<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
  TRY(runtime.charge(1));
  if (container.is_string()) {
    if (item.is_undefined()) return fail_undefined(item);
    if (!item.is_string()) {
      return fail("'in <string>' requires string as left operand, not " +
                  std::string(type_name(item)));
    }
    TRY(runtime.charge_size(container));
    return find_text(container.string(), item.string()) != std::string_view::npos;
  }
  if (container.is<Dict*>()) {
    if (!is_key(item) && !item.is_undefined()) return fail("unhashable type: " + quoted_type(item));
    TRY(runtime.charge_size(item));
    return container.as<Dict*>()->find(item) != nullptr;
  }
  if (container.is<Range*>()) return range_contains(*container.as<Range*>(), item);
  for (const Value& candidate : TRY(iterate(runtime, container))) {
    if (TRY(equal(runtime, candidate, item))) return true;
  }
  return false;
}

}  // namespace neuros::text::jinja
