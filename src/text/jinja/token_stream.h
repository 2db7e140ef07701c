#pragma once

#include "base/result.h"
#include "text/jinja/lexer.h"
#include "text/jinja/token.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::text::jinja {

/// The parser's view of the tokens: one current token, and questions about it.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view op) const {
    return is(TokenKind::kOperator) && current().text == op;
  }
  bool is_name(std::string_view name) const {
    return is(TokenKind::kName) && current().text == name;
  }
  bool take_operator(std::string_view op) { return is_operator(op) && (take(), true); }
  bool take_name(std::string_view name) { return is_name(name) && (take(), true); }

  base::Result<> expect_operator(std::string_view op) {
    if (take_operator(op)) return {};
    return expected("'" + std::string(op) + "'");
  }
  base::Result<> expect_name(std::string_view name) {
    if (take_name(name)) return {};
    return expected("'" + std::string(name) + "'");
  }
  base::Result<> expect(TokenKind kind, std::string_view what) {
    if (!is(kind)) return expected(what);
    take();
    return {};
  }
  base::Result<std::string> expect_any_name() {
    if (!is(TokenKind::kName)) return expected("a name");
    return take().text;
  }

  tl::unexpected<base::Error> expected(std::string_view what) const {
    return error("expected " + std::string(what) + ", found " + describe(current()));
  }
  tl::unexpected<base::Error> error(std::string_view text) const {
    return base::fail(located(current().position, text));
  }

 private:
  static std::string describe(const Token& token);

  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace neuros::text::jinja
