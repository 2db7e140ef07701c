#include "builder/spec/expression_parser.h"

#include "builder/spec/limits.h"
#include "builder/spec/nearest_name.h"
#include "formats/printable.h"

#include <algorithm>
#include <array>
#include <optional>

namespace neuros::builder {
namespace {

using Kind = ExpressionToken::Kind;
using Node = Expression::Node;
using Type = Value::Type;

struct Variable {
  std::string_view name;
  Type type;
};
constexpr std::array<Variable, 6> kVariables{{{"prompt_len", Type::kNumber},
                                              {"context_len", Type::kNumber},
                                              {"queue_depth", Type::kNumber},
                                              {"hour", Type::kNumber},
                                              {"latency", Type::kTime},
                                              {"iteration", Type::kNumber}}};

std::optional<Type> type_of_variable(std::string_view name) {
  const auto found = std::find_if(kVariables.begin(), kVariables.end(),
                                  [&](const Variable& known) { return known.name == name; });
  return found == kVariables.end() ? std::nullopt : std::optional(found->type);
}

struct Comparison {
  std::string_view word;
  Operation operation;
};
constexpr std::array<Comparison, 7> kComparisons{{{"==", Operation::kEqual},
                                                  {"!=", Operation::kUnequal},
                                                  {"<", Operation::kLess},
                                                  {"<=", Operation::kLessEqual},
                                                  {">", Operation::kGreater},
                                                  {">=", Operation::kGreaterEqual},
                                                  {"contains", Operation::kContains}}};

std::optional<Operation> comparison_of(const ExpressionToken& token) {
  for (const Comparison& known : kComparisons) {
    if (token.is(known.word)) return known.operation;
  }
  return std::nullopt;
}

/// nullopt: known only when a request is there.
std::optional<Type> static_type(const Node& node) {
  if (node.operation == Operation::kReference) return std::nullopt;
  if (node.operation == Operation::kLiteral) return node.value.type;
  return node.operation == Operation::kVariable ? type_of_variable(node.text) : Type::kBool;
}

/// "latency is a time"; "50 has no unit" beside a time.
std::string described(const Node& node, Type other) {
  const Type type = *static_type(node);
  const std::string text = node.text.empty() ? "the condition" : formats::printable(node.text, 40);
  if (node.operation == Operation::kLiteral && type == Type::kNumber && other == Type::kTime) {
    return text + " has no unit";
  }
  return text + " is " + std::string(type_name(type));
}

std::string shown(const ExpressionToken& token) {
  return token.kind == Kind::kEnd ? "the end" : formats::printable(token.text, 40);
}

}  // namespace

base::Result<Expression> ExpressionParser::parse() {
  TRY(disjunction());
  return std::move(expression_);
}

base::Result<int32_t> ExpressionParser::add(Node node) {
  if (expression_.nodes.size() == limits::kExpressionPartsMax) {
    return fail_at(node.column, "more than " + std::to_string(limits::kExpressionPartsMax) +
                                    " parts in one condition");
  }
  expression_.nodes.push_back(std::move(node));
  return static_cast<int32_t>(expression_.nodes.size()) - 1;
}

base::Result<> ExpressionParser::enter() {
  if (++depth_ <= limits::kExpressionDepthMax) return {};
  return fail_at(token().column,
                 "more than " + std::to_string(limits::kExpressionDepthMax) + " levels");
}

base::Result<int32_t> ExpressionParser::disjunction() {
  int32_t left = TRY(conjunction());
  while (token().is("or")) {
    const int32_t column = tokens_[place_++].column;
    const int32_t right = TRY(conjunction());
    left = TRY(add({Operation::kOr, column, left, right, "", {}, {}}));
  }
  return left;
}

base::Result<int32_t> ExpressionParser::conjunction() {
  int32_t left = TRY(negation());
  while (token().is("and")) {
    const int32_t column = tokens_[place_++].column;
    const int32_t right = TRY(negation());
    left = TRY(add({Operation::kAnd, column, left, right, "", {}, {}}));
  }
  return left;
}

base::Result<int32_t> ExpressionParser::negation() {
  if (!token().is("not")) return comparison();
  TRY(enter());
  const int32_t column = tokens_[place_++].column;
  const int32_t operand = TRY(negation());
  --depth_;
  return add({Operation::kNot, column, operand, -1, "", {}, {}});
}

base::Result<int32_t> ExpressionParser::comparison() {
  const int32_t left = TRY(operand());
  const auto operation = comparison_of(token());
  if (!operation) return left;
  const int32_t column = tokens_[place_++].column;
  const int32_t right = TRY(operand());
  if (comparison_of(token())) {
    return fail_at(token().column, "a second comparison, expected and, or or brackets");
  }
  Node node{*operation, column, left, right, "", {}, {}};
  TRY(check_types(node));
  return add(std::move(node));
}

base::Result<> ExpressionParser::check_types(const Node& comparison) const {
  const Node& left = expression_.nodes[static_cast<size_t>(comparison.left)];
  const Node& right = expression_.nodes[static_cast<size_t>(comparison.right)];
  const auto a = static_type(left), b = static_type(right);
  if (a && b && a != b) {
    return fail_at(comparison.column, described(left, *b) + ", " + described(right, *a));
  }
  const bool equality =
      comparison.operation == Operation::kEqual || comparison.operation == Operation::kUnequal;
  if (equality) return {};
  const bool texts = comparison.operation == Operation::kContains;
  for (const Node* side : {&left, &right}) {
    const auto type = static_type(*side);
    const bool ordered = type == Type::kNumber || type == Type::kTime;
    if (!type || (texts ? type == Type::kText : ordered)) continue;
    return fail_at(comparison.column,
                   described(*side, Type::kNone) +
                       (texts ? ", contains is about texts" : ", which has no order"));
  }
  return {};
}

base::Result<int32_t> ExpressionParser::operand() {
  if (token().kind == Kind::kLiteral) {
    const ExpressionToken& literal = tokens_[place_++];
    return add({Operation::kLiteral, literal.column, -1, -1, literal.text, literal.value, {}});
  }
  if (token().is("(")) return bracket();
  if (token().kind == Kind::kReference) return reference();
  if (token().kind == Kind::kName) return variable();
  return fail_at(token().column, "expected a value, found " + shown(token()));
}

base::Result<int32_t> ExpressionParser::bracket() {
  TRY(enter());
  ++place_;
  const int32_t inside = TRY(disjunction());
  if (!token().is(")")) return fail_at(token().column, "expected ), found " + shown(token()));
  ++place_;
  --depth_;
  return inside;
}

base::Result<int32_t> ExpressionParser::variable() {
  const ExpressionToken& name = tokens_[place_++];
  if (!type_of_variable(name.text)) {
    std::vector<std::string> known;
    for (const Variable& variable : kVariables) known.emplace_back(variable.name);
    return fail_at(name.column, formats::printable(name.text, 40) + ": no such name" +
                                    suggestion(name.text, known));
  }
  if (name.text == "iteration" && scope_ != ExpressionScope::kUntil) {
    return fail_at(name.column, "iteration is known in a loop's until only");
  }
  return add({Operation::kVariable, name.column, -1, -1, name.text, {}, {}});
}

base::Result<int32_t> ExpressionParser::reference() {
  const ExpressionToken& written = tokens_[place_++];
  Reference reference = reference_of(std::string_view(written.text).substr(1));
  if (scope_ == ExpressionScope::kRoute && !reference.is_request()) {
    return fail_at(written.column, formats::printable(written.text, 40) +
                                       ": a route decides before any stage has run");
  }
  return add(
      {Operation::kReference, written.column, -1, -1, written.text, {}, std::move(reference)});
}

base::Result<Expression> parse_expression(std::string_view text, ExpressionScope scope) {
  const std::vector<ExpressionToken> tokens = TRY(tokens_of(text));
  size_t place = 0;
  Expression expression = TRY(ExpressionParser(tokens, place, scope).parse());
  if (tokens[place].kind != Kind::kEnd) {
    return fail_at(tokens[place].column, "expected the end, found " + shown(tokens[place]));
  }
  expression.source = std::string(text);
  return expression;
}

}  // namespace neuros::builder
