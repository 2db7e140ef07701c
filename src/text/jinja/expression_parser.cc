#include "text/jinja/expression_parser.h"

#include "text/jinja/limits.h"

#include <algorithm>
#include <optional>
#include <string>

namespace neuros::text::jinja {

using base::Result;

namespace {

int depth_of(const ExpressionPtr& expression) {
  return expression ? expression->depth : 0;
}

int depth_of(const std::vector<ExpressionPtr>& expressions) {
  int depth = 0;
  for (const auto& expression : expressions) depth = std::max(depth, depth_of(expression));
  return depth;
}

int depth_of(const ArgumentList& list) {
  int depth = std::max(
      {depth_of(list.positional), depth_of(list.more_positional), depth_of(list.more_named)});
  for (const auto& [name, value] : list.named) depth = std::max(depth, depth_of(value));
  return depth;
}

template <typename Node>
Result<ExpressionPtr> make(Position position, int depth_below, Node node) {
  if (depth_below >= kExpressionDepthMax) {
    return base::fail(located(
        position, "expression of more than " + std::to_string(kExpressionDepthMax) + " levels"));
  }
  auto expression = std::make_unique<Expression>();
  expression->position = position;
  expression->depth = depth_below + 1;
  expression->node = std::move(node);
  return expression;
}

Result<ExpressionPtr> make_binary(Position position, BinaryOperator op, ExpressionPtr left,
                                  ExpressionPtr right) {
  const int depth = std::max(depth_of(left), depth_of(right));
  return make(position, depth,
              Binary{.op = op, .left = std::move(left), .right = std::move(right)});
}

Result<ExpressionPtr> make_logic(Position position, bool stops_at, ExpressionPtr left,
                                 ExpressionPtr right) {
  const int depth = std::max(depth_of(left), depth_of(right));
  return make(position, depth,
              Logic{.stops_at = stops_at, .left = std::move(left), .right = std::move(right)});
}

Result<ExpressionPtr> make_unary(Position position, UnaryOperator op, ExpressionPtr operand) {
  const int depth = depth_of(operand);
  return make(position, depth, Unary{.op = op, .operand = std::move(operand)});
}

Value text_value(std::string text) {
  return Value(std::make_shared<const std::string>(std::move(text)));
}

std::string_view operator_of(const Token& token) {
  return token.kind == TokenKind::kOperator ? std::string_view(token.text) : std::string_view();
}

std::optional<BinaryOperator> sum_operator(std::string_view op) {
  if (op == "+") return BinaryOperator::kAdd;
  if (op == "-") return BinaryOperator::kSubtract;
  return std::nullopt;
}

std::optional<BinaryOperator> product_operator(std::string_view op) {
  if (op == "*") return BinaryOperator::kMultiply;
  if (op == "/") return BinaryOperator::kDivide;
  if (op == "//") return BinaryOperator::kFloorDivide;
  if (op == "%") return BinaryOperator::kModulo;
  return std::nullopt;
}

std::optional<BinaryOperator> power_operator(std::string_view op) {
  if (op == "**") return BinaryOperator::kPower;
  return std::nullopt;
}

std::optional<CompareOperator> compare_operator(std::string_view op) {
  if (op == "==") return CompareOperator::kEqual;
  if (op == "!=") return CompareOperator::kNotEqual;
  if (op == "<") return CompareOperator::kLess;
  if (op == "<=") return CompareOperator::kLessEqual;
  if (op == ">") return CompareOperator::kGreater;
  if (op == ">=") return CompareOperator::kGreaterEqual;
  return std::nullopt;
}

/// Takes a comparison operator, `in` or `not in`.
std::optional<CompareOperator> take_compare(TokenStream& tokens) {
  const auto op = compare_operator(operator_of(tokens.current()));
  if (op) tokens.take();
  if (op) return op;
  if (tokens.take_name("in")) return CompareOperator::kIn;
  const Token& next = tokens.following();
  if (tokens.is_name("not") && next.kind == TokenKind::kName && next.text == "in") {
    tokens.take();
    tokens.take();
    return CompareOperator::kNotIn;
  }
  return std::nullopt;
}

}  // namespace

Result<ExpressionPtr> ExpressionParser::expression() {
  if (nesting_ >= kNestingMax) {
    return tokens_.error("more than " + std::to_string(kNestingMax) +
                         " expressions inside one another");
  }
  ++nesting_;
  const Position position = tokens_.current().position;
  ExpressionPtr value = TRY(logical_or());
  while (tokens_.take_name("if")) {
    ExpressionPtr condition = TRY(logical_or());
    ExpressionPtr otherwise;
    if (tokens_.take_name("else")) otherwise = TRY(expression());
    const int depth = std::max({depth_of(value), depth_of(condition), depth_of(otherwise)});
    value = TRY(make(position, depth,
                     Conditional{.condition = std::move(condition),
                                 .value = std::move(value),
                                 .otherwise = std::move(otherwise)}));
  }
  --nesting_;
  return value;
}

Result<ExpressionPtr> ExpressionParser::tuple() {
  return tuple_of(&ExpressionParser::expression, false);
}

Result<ExpressionPtr> ExpressionParser::tuple_without_conditional() {
  return tuple_of(&ExpressionParser::logical_or, false);
}

Result<ExpressionPtr> ExpressionParser::tuple_of(Parse parse, bool in_brackets) {
  const Position position = tokens_.current().position;
  const auto at_end = [this] {
    return tokens_.is(TokenKind::kPrintEnd) || tokens_.is(TokenKind::kStatementEnd) ||
           tokens_.is_operator(")");
  };
  ListDisplay items{.kind = SequenceKind::kTuple, .items = {}};
  bool has_comma = false;
  while (!at_end()) {
    items.items.push_back(TRY((this->*parse)()));
    if (!tokens_.take_operator(",")) break;
    has_comma = true;
  }
  if (!has_comma && items.items.size() == 1) return std::move(items.items[0]);
  if (items.items.empty() && !in_brackets) return tokens_.expected("an expression");
  const int depth = depth_of(items.items);
  return make(position, depth, std::move(items));
}

Result<ExpressionPtr> ExpressionParser::logical_or() {
  const Position position = tokens_.current().position;
  ExpressionPtr left = TRY(logical_and());
  while (tokens_.take_name("or")) {
    ExpressionPtr right = TRY(logical_and());
    left = TRY(make_logic(position, true, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::logical_and() {
  const Position position = tokens_.current().position;
  ExpressionPtr left = TRY(logical_not());
  while (tokens_.take_name("and")) {
    ExpressionPtr right = TRY(logical_not());
    left = TRY(make_logic(position, false, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::logical_not() {
  const Position position = tokens_.current().position;
  int count = 0;
  while (tokens_.take_name("not")) ++count;
  ExpressionPtr operand = TRY(comparison());
  for (; count > 0; --count) {
    operand = TRY(make_unary(position, UnaryOperator::kNot, std::move(operand)));
  }
  return operand;
}

Result<ExpressionPtr> ExpressionParser::comparison() {
  const Position position = tokens_.current().position;
  Comparison node;
  node.first = TRY(sum());
  int depth = depth_of(node.first);
  while (const auto op = take_compare(tokens_)) {
    ExpressionPtr operand = TRY(sum());
    node.rest.emplace_back(*op, std::move(operand));
    depth = std::max(depth, depth_of(node.rest.back().second));
  }
  if (node.rest.empty()) return std::move(node.first);
  return make(position, depth, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::left_chain(Parse operand, OperatorTable table) {
  const Position position = tokens_.current().position;
  ExpressionPtr left = TRY((this->*operand)());
  while (const auto op = table(operator_of(tokens_.current()))) {
    tokens_.take();
    ExpressionPtr right = TRY((this->*operand)());
    left = TRY(make_binary(position, *op, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::sum() {
  return left_chain(&ExpressionParser::concatenation, sum_operator);
}

Result<ExpressionPtr> ExpressionParser::product() {
  return left_chain(&ExpressionParser::power, product_operator);
}

/// From the left and below the unary operators, as Jinja2 has it: -2 ** 2 is 4.
Result<ExpressionPtr> ExpressionParser::power() {
  return left_chain(&ExpressionParser::unary, power_operator);
}

Result<ExpressionPtr> ExpressionParser::concatenation() {
  const Position position = tokens_.current().position;
  Concatenation node;
  node.parts.push_back(TRY(product()));
  while (tokens_.take_operator("~")) node.parts.push_back(TRY(product()));
  if (node.parts.size() == 1) return std::move(node.parts[0]);
  const int depth = depth_of(node.parts);
  return make(position, depth, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::unary() {
  return filters_and_tests(TRY(unary_without_filter()));
}

Result<ExpressionPtr> ExpressionParser::unary_without_filter() {
  const Position position = tokens_.current().position;
  std::vector<UnaryOperator> operators;
  while (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const bool minus = tokens_.take().text == "-";
    operators.push_back(minus ? UnaryOperator::kNegate : UnaryOperator::kPlus);
  }
  ExpressionPtr operand = TRY(postfix(TRY(primary())));
  for (; !operators.empty(); operators.pop_back()) {
    operand = TRY(make_unary(position, operators.back(), std::move(operand)));
  }
  return operand;
}

Result<ExpressionPtr> ExpressionParser::primary() {
  const Position position = tokens_.current().position;
  switch (tokens_.current().kind) {
    case TokenKind::kName:
      return name();
    case TokenKind::kString:
      return string();
    case TokenKind::kInteger:
      return make(position, 0, Literal{Value(tokens_.take().integer)});
    case TokenKind::kFloat:
      return make(position, 0, Literal{Value(tokens_.take().real)});
    default:
      break;
  }
  if (tokens_.is_operator("[")) return list();
  if (tokens_.is_operator("{")) return dict();
  if (!tokens_.take_operator("(")) return tokens_.expected("an expression");
  ExpressionPtr inner = TRY(tuple_of(&ExpressionParser::expression, true));
  TRY(tokens_.expect_operator(")"));
  return inner;
}

Result<ExpressionPtr> ExpressionParser::name() {
  const Position position = tokens_.current().position;
  std::string text = tokens_.take().text;
  if (text == "true" || text == "True") return make(position, 0, Literal{Value(true)});
  if (text == "false" || text == "False") return make(position, 0, Literal{Value(false)});
  if (text == "none" || text == "None") return make(position, 0, Literal{Value(None{})});
  mentioned_.varargs |= text == "varargs";
  mentioned_.kwargs |= text == "kwargs";
  mentioned_.caller |= text == "caller";
  return make(position, 0, Name{std::move(text)});
}

/// Strings one after the other are one string.
Result<ExpressionPtr> ExpressionParser::string() {
  const Position position = tokens_.current().position;
  std::string text;
  while (tokens_.is(TokenKind::kString)) text += tokens_.take().text;
  return make(position, 0, Literal{text_value(std::move(text))});
}

Result<ExpressionPtr> ExpressionParser::list() {
  const Position position = tokens_.take().position;
  ListDisplay node;
  while (!tokens_.is_operator("]")) {
    node.items.push_back(TRY(expression()));
    if (!tokens_.take_operator(",")) break;
  }
  TRY(tokens_.expect_operator("]"));
  const int depth = depth_of(node.items);
  return make(position, depth, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::dict() {
  const Position position = tokens_.take().position;
  DictDisplay node;
  int depth = 0;
  while (!tokens_.is_operator("}")) {
    ExpressionPtr key = TRY(expression());
    TRY(tokens_.expect_operator(":"));
    ExpressionPtr value = TRY(expression());
    depth = std::max({depth, depth_of(key), depth_of(value)});
    node.entries.emplace_back(std::move(key), std::move(value));
    if (!tokens_.take_operator(",")) break;
  }
  TRY(tokens_.expect_operator("}"));
  return make(position, depth, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr object) {
  while (true) {
    if (tokens_.is_operator(".")) {
      object = TRY(dot(std::move(object)));
    } else if (tokens_.is_operator("[")) {
      object = TRY(bracket(std::move(object)));
    } else if (tokens_.is_operator("(")) {
      object = TRY(call(std::move(object)));
    } else {
      return object;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::filters_and_tests(ExpressionPtr input) {
  while (true) {
    const Position position = tokens_.current().position;
    if (tokens_.is_operator("|")) {
      Filter node;
      node.input = std::move(input);
      node.steps = TRY(filter_steps(false));
      int depth = depth_of(node.input);
      for (const FilterStep& step : node.steps) depth = std::max(depth, depth_of(step.arguments));
      input = TRY(make(position, depth, std::move(node)));
    } else if (tokens_.is_name("is")) {
      input = TRY(test(std::move(input)));
    } else if (tokens_.is_operator("(")) {
      input = TRY(call(std::move(input)));
    } else {
      return input;
    }
  }
}

/// `.name`, or `.0` for an element.
Result<ExpressionPtr> ExpressionParser::dot(ExpressionPtr object) {
  const Position position = tokens_.take().position;
  const int depth = depth_of(object);
  if (tokens_.is(TokenKind::kInteger)) {
    ExpressionPtr key = TRY(make(position, 0, Literal{Value(tokens_.take().integer)}));
    return make(position, depth, Subscript{.object = std::move(object), .key = std::move(key)});
  }
  std::string name = TRY(tokens_.expect_any_name());
  return make(position, depth, Attribute{.object = std::move(object), .name = std::move(name)});
}

Result<ExpressionPtr> ExpressionParser::bracket(ExpressionPtr object) {
  const Position position = tokens_.take().position;
  ExpressionPtr key;
  if (!tokens_.is_operator(":")) key = TRY(tuple());
  if (tokens_.is_operator(":")) return slice(std::move(object), std::move(key));
  TRY(tokens_.expect_operator("]"));
  const int depth = std::max(depth_of(object), depth_of(key));
  return make(position, depth, Subscript{.object = std::move(object), .key = std::move(key)});
}

Result<ExpressionPtr> ExpressionParser::slice(ExpressionPtr object, ExpressionPtr start) {
  const Position position = tokens_.take().position;
  Slice node{.object = std::move(object), .start = std::move(start), .stop = {}, .step = {}};
  if (!tokens_.is_operator(":") && !tokens_.is_operator("]")) node.stop = TRY(expression());
  if (tokens_.take_operator(":") && !tokens_.is_operator("]")) node.step = TRY(expression());
  TRY(tokens_.expect_operator("]"));
  const int depth = std::max(
      {depth_of(node.object), depth_of(node.start), depth_of(node.stop), depth_of(node.step)});
  return make(position, depth, std::move(node));
}

Result<ExpressionPtr> ExpressionParser::call(ExpressionPtr callee) {
  const Position position = tokens_.current().position;
  Call node;
  node.callee = std::move(callee);
  node.arguments = TRY(arguments());
  const int depth = std::max(depth_of(node.callee), depth_of(node.arguments));
  return make(position, depth, std::move(node));
}

Result<ArgumentList> ExpressionParser::arguments() {
  TRY(tokens_.expect_operator("("));
  ArgumentList list;
  while (!tokens_.is_operator(")")) {
    TRY(argument(list));
    if (!tokens_.take_operator(",")) break;
  }
  TRY(tokens_.expect_operator(")"));
  return list;
}

Result<> ExpressionParser::argument(ArgumentList& list) {
  const Token& next = tokens_.following();
  if (tokens_.take_operator("**")) {
    if (list.more_named) return tokens_.error("a second ** argument");
    list.more_named = TRY(expression());
  } else if (tokens_.take_operator("*")) {
    if (list.more_positional) return tokens_.error("a second * argument");
    list.more_positional = TRY(expression());
  } else if (tokens_.is(TokenKind::kName) && next.kind == TokenKind::kOperator &&
             next.text == "=") {
    auto name = std::make_shared<const std::string>(tokens_.take().text);
    tokens_.take();
    ExpressionPtr value = TRY(expression());
    list.named.emplace_back(std::move(name), std::move(value));
  } else {
    if (!list.named.empty()) return tokens_.error("a positional argument after a named one");
    list.positional.push_back(TRY(expression()));
  }
  return {};
}

Result<std::vector<FilterStep>> ExpressionParser::filter_steps(bool first_bare) {
  std::vector<FilterStep> steps;
  while (first_bare || tokens_.take_operator("|")) {
    steps.push_back(TRY(filter_step()));
    first_bare = false;
  }
  return steps;
}

Result<FilterStep> ExpressionParser::filter_step() {
  FilterStep step;
  step.position = tokens_.current().position;
  step.name = TRY(tokens_.expect_any_name());
  while (tokens_.take_operator(".")) step.name += "." + TRY(tokens_.expect_any_name());
  if (tokens_.is_operator("(")) step.arguments = TRY(arguments());
  return step;
}

Result<ExpressionPtr> ExpressionParser::test(ExpressionPtr input) {
  const Position position = tokens_.take().position;
  const bool negated = tokens_.take_name("not");
  Test node;
  node.input = std::move(input);
  node.name = TRY(tokens_.expect_any_name());
  const bool ends = tokens_.is_name("else") || tokens_.is_name("or") || tokens_.is_name("and") ||
                    tokens_.is_name("if");
  const bool bracketed = tokens_.is_operator("[") || tokens_.is_operator("{");
  const TokenKind kind = tokens_.current().kind;
  const bool is_operand = kind == TokenKind::kName || kind == TokenKind::kString ||
                          kind == TokenKind::kInteger || kind == TokenKind::kFloat;
  if (tokens_.is_name("is")) return tokens_.error("tests cannot be chained with is");
  if (tokens_.is_operator("(")) {
    node.arguments = TRY(arguments());
  } else if (bracketed || (is_operand && !ends)) {
    node.arguments.positional.push_back(TRY(postfix(TRY(primary()))));
  }
  const int depth = std::max(depth_of(node.input), depth_of(node.arguments));
  ExpressionPtr result = TRY(make(position, depth, std::move(node)));
  if (!negated) return result;
  return make_unary(position, UnaryOperator::kNot, std::move(result));
}

}  // namespace neuros::text::jinja
