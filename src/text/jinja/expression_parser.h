#pragma once

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/token_stream.h"

#include <optional>
#include <string_view>
#include <vector>

namespace neuros::text::jinja {

/// Which of the names that make a macro take more arguments an expression has mentioned.
struct MentionedNames {
  bool varargs = false;
  bool kwargs = false;
  bool caller = false;
};

/// Recursive descent over Jinja2's expression grammar, loosest binding first:
/// a if b else c; or; and; not; comparisons; + -; ~; * / // %; **; unary; . [] () | is.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  base::Result<ExpressionPtr> expression();
  /// Expressions separated by commas are a tuple. Without the conditional where `if` follows.
  base::Result<ExpressionPtr> tuple();
  base::Result<ExpressionPtr> tuple_without_conditional();
  /// "|name(arguments)" any number of times; `first_bare`: the first one without its bar.
  base::Result<std::vector<FilterStep>> filter_steps(bool first_bare);

  MentionedNames& mentioned() { return mentioned_; }

 private:
  using Parse = base::Result<ExpressionPtr> (ExpressionParser::*)();
  /// The operator that a token's text is at one level of binding.
  using OperatorTable = std::optional<BinaryOperator> (*)(std::string_view);

  base::Result<ExpressionPtr> tuple_of(Parse parse, bool in_brackets);
  base::Result<ExpressionPtr> logical_or();
  base::Result<ExpressionPtr> logical_and();
  base::Result<ExpressionPtr> logical_not();
  base::Result<ExpressionPtr> comparison();
  base::Result<ExpressionPtr> sum();
  base::Result<ExpressionPtr> concatenation();
  base::Result<ExpressionPtr> product();
  base::Result<ExpressionPtr> power();
  base::Result<ExpressionPtr> unary();
  base::Result<ExpressionPtr> unary_without_filter();
  base::Result<ExpressionPtr> primary();
  base::Result<ExpressionPtr> name();
  base::Result<ExpressionPtr> string();
  base::Result<ExpressionPtr> list();
  base::Result<ExpressionPtr> dict();
  base::Result<ExpressionPtr> postfix(ExpressionPtr object);
  base::Result<ExpressionPtr> filters_and_tests(ExpressionPtr input);
  base::Result<ExpressionPtr> dot(ExpressionPtr object);
  base::Result<ExpressionPtr> bracket(ExpressionPtr object);
  base::Result<ExpressionPtr> slice(ExpressionPtr object, ExpressionPtr start);
  base::Result<ExpressionPtr> call(ExpressionPtr callee);
  base::Result<ExpressionPtr> test(ExpressionPtr input);
  base::Result<FilterStep> filter_step();
  base::Result<ArgumentList> arguments();
  base::Result<> argument(ArgumentList& list);

  /// operand op operand op ..., from the left.
  base::Result<ExpressionPtr> left_chain(Parse operand, OperatorTable table);

  TokenStream& tokens_;
  MentionedNames mentioned_;
  int nesting_ = 0;
};

}  // namespace neuros::text::jinja
