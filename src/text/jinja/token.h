#pragma once

#include <cstdint>
#include <string>

namespace neuros::text::jinja {

/// Where something stands in the template, from 1; columns count code points.
struct Position {
  int line = 1;
  int column = 1;
};

enum class TokenKind {
  kText,            ///< template text outside of tags, white space already trimmed
  kPrintBegin,      ///< {{
  kPrintEnd,        ///< }}
  kStatementBegin,  ///< {%
  kStatementEnd,    ///< %}
  kName,
  kString,  ///< text holds the characters, escapes resolved
  kInteger,
  kFloat,
  kOperator,  ///< text holds the operator
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Position position;
  std::string text;
  int64_t integer = 0;
  double real = 0;
};

}  // namespace neuros::text::jinja
