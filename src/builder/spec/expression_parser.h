#pragma once

#include "base/result.h"
#include "builder/spec/expression.h"
#include "builder/spec/expression_lexer.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace neuros::builder {

/// What a condition may speak of: a route of the request only, as no stage has run; a loop of its
/// `iteration` too.
enum class ExpressionScope : uint8_t { kRoute, kWhen, kUntil };

/// A whole condition. Errors begin with "column N: "; where both sides of a comparison have a
/// known type, it is checked here.
base::Result<Expression> parse_expression(std::string_view text, ExpressionScope scope);

/// One condition inside a longer text, as far as it goes.
class ExpressionParser {
 public:
  /// `tokens` end with kEnd and outlive the parser; `place` moves behind the condition.
  ExpressionParser(std::span<const ExpressionToken> tokens, size_t& place, ExpressionScope scope)
      : tokens_(tokens), place_(place), scope_(scope) {}

  /// Its `source` is left empty.
  base::Result<Expression> parse();

 private:
  base::Result<int32_t> disjunction();
  base::Result<int32_t> conjunction();
  base::Result<int32_t> negation();
  base::Result<int32_t> comparison();
  base::Result<int32_t> operand();
  base::Result<int32_t> bracket();
  base::Result<int32_t> variable();
  base::Result<int32_t> reference();

  const ExpressionToken& token() const { return tokens_[place_]; }
  base::Result<> enter();
  base::Result<int32_t> add(Expression::Node node);
  base::Result<> check_types(const Expression::Node& comparison) const;

  std::span<const ExpressionToken> tokens_;
  size_t& place_;
  ExpressionScope scope_;
  int depth_ = 0;
  Expression expression_;
};

}  // namespace neuros::builder
