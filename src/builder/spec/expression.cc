#include "builder/spec/expression.h"

#include "base/check.h"

#include <charconv>

namespace neuros::builder {
namespace {

using Type = Value::Type;

/// A text that is a number as a whole; anything else stays what it is.
Value number_if_it_is_one(const Value& value) {
  if (value.type != Type::kText || value.text.empty()) return value;
  double number = 0.0;
  const char* last = value.text.data() + value.text.size();
  const auto [end, error] = std::from_chars(value.text.data(), last, number);
  return error == std::errc() && end == last ? Value::of_number(number) : value;
}

bool is_equal(const Value& a, const Value& b) {
  return a.type == Type::kText ? a.text == b.text : a.number == b.number;
}

bool in_order(Operation operation, double a, double b) {
  switch (operation) {
    case Operation::kLess:
      return a < b;
    case Operation::kLessEqual:
      return a <= b;
    case Operation::kGreater:
      return a > b;
    default:
      return a >= b;
  }
}

base::Result<bool> compare(Operation operation, Value a, Value b) {
  if (a.type == Type::kNone || b.type == Type::kNone) return operation == Operation::kUnequal;
  if (operation == Operation::kContains) {
    if (a.type != Type::kText || b.type != Type::kText) {
      return base::fail("contains is about texts");
    }
    return a.text.find(b.text) != std::string::npos;
  }
  const bool order = operation != Operation::kEqual && operation != Operation::kUnequal;
  if (order || a.type == Type::kNumber) b = number_if_it_is_one(b);
  if (order || b.type == Type::kNumber) a = number_if_it_is_one(a);
  if (a.type != b.type) {
    return base::fail(std::string(type_name(a.type)) + " compared with " +
                      std::string(type_name(b.type)));
  }
  if (!order) return is_equal(a, b) == (operation == Operation::kEqual);
  if (a.type != Type::kNumber && a.type != Type::kTime) {
    return base::fail(std::string(type_name(a.type)) + " has no order");
  }
  return in_order(operation, a.number, b.number);
}

class Evaluator {
 public:
  Evaluator(const Expression& expression, const ValueSource& values)
      : nodes_(expression.nodes), values_(values) {}

  base::Result<Value> value_of(int32_t place) const {
    const Expression::Node& node = nodes_[static_cast<size_t>(place)];
    switch (node.operation) {
      case Operation::kLiteral:
        return node.value;
      case Operation::kVariable:
        return values_.variable(node.text);
      case Operation::kReference:
        return values_.reference(node.reference);
      case Operation::kNot:
        return Value::of_bool(!TRY(value_of(node.left)).is_true());
      case Operation::kAnd:
      case Operation::kOr:
        return logical(node);
      default:
        return comparison(node);
    }
  }

 private:
  base::Result<Value> logical(const Expression::Node& node) const {
    const bool left = TRY(value_of(node.left)).is_true();
    if (left == (node.operation == Operation::kOr)) return Value::of_bool(left);
    return Value::of_bool(TRY(value_of(node.right)).is_true());
  }

  base::Result<Value> comparison(const Expression::Node& node) const {
    Value left = TRY(value_of(node.left));
    Value right = TRY(value_of(node.right));
    const auto result = compare(node.operation, std::move(left), std::move(right));
    if (!result) {
      return tl::unexpected(
          base::with_context(result.error(), "column " + std::to_string(node.column)));
    }
    return Value::of_bool(*result);
  }

  const std::vector<Expression::Node>& nodes_;
  const ValueSource& values_;
};

}  // namespace

bool Value::is_true() const {
  return type == Type::kText ? !text.empty() : type != Type::kNone && number != 0.0;
}

std::string_view type_name(Value::Type type) {
  switch (type) {
    case Type::kNone:
      return "no value";
    case Type::kBool:
      return "a boolean";
    case Type::kNumber:
      return "a number";
    case Type::kTime:
      return "a time";
    default:
      return "a text";
  }
}

std::vector<Reference> Expression::references() const {
  std::vector<Reference> all;
  for (const Node& node : nodes) {
    if (node.operation == Operation::kReference) all.push_back(node.reference);
  }
  return all;
}

base::Result<bool> evaluate(const Expression& expression, const ValueSource& values) {
  CHECK(!expression.nodes.empty());
  const Evaluator evaluator(expression, values);
  const Value value = TRY(evaluator.value_of(static_cast<int32_t>(expression.nodes.size()) - 1));
  return value.is_true();
}

}  // namespace neuros::builder
