#include "builder/spec/expression_lexer.h"

#include "builder/spec/quantity.h"
#include "builder/spec/reference.h"
#include "formats/printable.h"

#include <array>
#include <charconv>

namespace neuros::builder {
namespace {

using Token = ExpressionToken;
using Kind = ExpressionToken::Kind;

constexpr std::array<std::string_view, 10> kSymbols{
    "->", "==", "!=", "<=", ">=", "<", ">", "(", ")", ";"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// The whole character at the front, for errors.
std::string_view first_character(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) {
    ++length;
  }
  return text.substr(0, length);
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  base::Result<Token> next() {
    while (!rest_.empty() && is_space(rest_.front())) take(1);
    if (rest_.empty()) return Token{.kind = Kind::kEnd, .column = column_, .text = "", .value = {}};
    if (std::exchange(after_arrow_, false)) {
      if (const size_t length = id_length(rest_)) return token(Kind::kTarget, length);
    }
    const char c = rest_.front();
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return quoted(c);
    if (c == '$') return reference();
    if (begins_name(c)) return name();
    return symbol();
  }

 private:
  void take(size_t bytes) {
    for (const char c : rest_.substr(0, bytes)) {
      column_ += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }
    rest_.remove_prefix(bytes);
  }

  Token token(Kind kind, size_t bytes, Value value = {}) {
    Token made{kind, column_, std::string(rest_.substr(0, bytes)), std::move(value)};
    take(bytes);
    return made;
  }

  base::Result<Token> number() {
    double value = 0.0;
    const char* begin = rest_.data();
    const auto [end, error] =
        std::from_chars(begin, begin + rest_.size(), value, std::chars_format::fixed);
    const auto digits = static_cast<size_t>(end - begin);
    const size_t unit_bytes = name_length(rest_.substr(digits));
    const std::string_view unit = rest_.substr(digits, unit_bytes);
    const size_t bytes = digits + unit_bytes;
    if (error != std::errc()) return fail_at(column_, "number is too large");
    if (unit.empty()) return token(Kind::kLiteral, bytes, Value::of_number(value));
    if (unit == "k") return token(Kind::kLiteral, bytes, Value::of_number(value * 1024.0));
    const auto us = us_in_unit(unit);
    if (!us) {
      return fail_at(column_,
                     "unit " + formats::printable(unit, 16) + ", expected k, us, ms, s or min");
    }
    return token(Kind::kLiteral, bytes, Value::of_time(value * static_cast<double>(*us)));
  }

  base::Result<Token> quoted(char quote) {
    std::string text;
    for (size_t at = 1; at < rest_.size(); ++at) {
      if (rest_[at] == quote) return token(Kind::kLiteral, at + 1, Value::of_text(text));
      if (rest_[at] == '\\' && ++at == rest_.size()) break;
      text += rest_[at];
    }
    return fail_at(column_, "text without its closing " + std::string(1, quote));
  }

  base::Result<Token> reference() {
    const size_t length = reference_length(rest_.substr(1));
    if (length == 0) return fail_at(column_, "$ without a name, expected $request or $STAGE");
    return token(Kind::kReference, length + 1);
  }

  Token name() {
    const size_t length = name_length(rest_);
    const std::string_view word = rest_.substr(0, length);
    if (word == "true" || word == "false") {
      return token(Kind::kLiteral, length, Value::of_bool(word == "true"));
    }
    return token(Kind::kName, length);
  }

  base::Result<Token> symbol() {
    for (const std::string_view known : kSymbols) {
      if (!rest_.starts_with(known)) continue;
      after_arrow_ = known == "->";
      return token(Kind::kSymbol, known.size());
    }
    return fail_at(column_, "unexpected " + formats::printable(first_character(rest_)));
  }

  std::string_view rest_;
  int32_t column_ = 1;
  bool after_arrow_ = false;
};

}  // namespace

tl::unexpected<base::Error> fail_at(int32_t column, const std::string& problem) {
  return base::fail("column " + std::to_string(column) + ": " + problem);
}

size_t id_length(std::string_view text) {
  size_t length = name_length(text);
  while (length > 0 && length < text.size()) {
    const char c = text[length];
    if (!begins_name(c) && !is_digit(c) && c != '-' && c != '.') break;
    ++length;
  }
  return length;
}

base::Result<std::vector<ExpressionToken>> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  Lexer lexer(text);
  do {
    tokens.push_back(TRY(lexer.next()));
  } while (tokens.back().kind != Kind::kEnd);
  return tokens;
}

}  // namespace neuros::builder
