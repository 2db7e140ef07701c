#include "text/jinja/lexer.h"

#include "text/jinja/limits.h"
#include "text/jinja/utf8.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace neuros::text::jinja {
namespace {

using base::fail;
using base::Result;

/// Longest first.
constexpr std::array<std::string_view, 25> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c);
}

/// \r\n and \r become \n; one newline at the end goes.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) TRY(lex_text());
    emit(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  struct Raw {
    size_t body;  ///< where the raw text starts
    char sign;
  };

  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool at(std::string_view text) const { return rest().starts_with(text); }

  /// The position of byte `at`, which never moves back.
  Position position_of(size_t at) {
    for (; counted_ < at; ++counted_) {
      if (source_[counted_] == '\n') {
        position_ = {.line = position_.line + 1, .column = 1};
      } else if ((source_[counted_] & 0xC0) != 0x80) {
        ++position_.column;
      }
    }
    return position_;
  }

  Token& emit(TokenKind kind, std::string text) {
    tokens_.push_back({.kind = kind, .position = position_of(at_), .text = std::move(text)});
    return tokens_.back();
  }

  tl::unexpected<base::Error> error(std::string_view text) {
    return fail(located(position_of(at_), text));
  }

  void skip_space() { at_ += utf8::leading_space(rest()); }

  /// Byte of the next "{{", "{%" or "{#"; npos when there is none.
  size_t find_tag() const {
    size_t open = source_.find('{', at_);
    while (open != std::string::npos && open + 1 < source_.size()) {
      const char c = source_[open + 1];
      if (c == '{' || c == '%' || c == '#') return open;
      open = source_.find('{', open + 1);
    }
    return std::string::npos;
  }

  char sign_at(size_t at) const {
    const char c = at < source_.size() ? source_[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  /// The text before a tag, without what the tag takes away from it.
  std::string_view trimmed(std::string_view text, char sign, bool is_print) const {
    if (sign == '-') return text.substr(0, text.size() - utf8::trailing_space(text));
    if (sign == '+' || is_print) return text;
    const size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_starting_) return text;
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    const bool blank = utf8::leading_space(text.substr(line)) == text.size() - line;
    return blank ? text.substr(0, line) : text;
  }

  Result<> lex_text() {
    const size_t open = find_tag();
    if (open == std::string::npos) {
      emit(TokenKind::kText, std::string(rest()));
      at_ = source_.size();
      return {};
    }
    const char kind = source_[open + 1];
    const std::optional<Raw> raw = kind == '%' ? match_raw(open) : std::nullopt;
    const char sign = sign_at(open + 2);
    emit_text(trimmed(rest().substr(0, open - at_), sign, kind == '{'));
    at_ = open;
    if (raw) return lex_raw(*raw);
    if (kind == '#') return lex_comment();
    emit(kind == '{' ? TokenKind::kPrintBegin : TokenKind::kStatementBegin, "");
    at_ += sign ? 3 : 2;
    return lex_tag(kind == '{');
  }

  void emit_text(std::string_view text) {
    if (!text.empty()) emit(TokenKind::kText, std::string(text));
  }

  /// Consumes one of "+%}", "-%}" with the white space after it, "%}" with the newline after it.
  bool take_end(std::string_view end, bool plus_allowed) {
    const char sign = sign_at(at_);
    if (sign == '+' && !plus_allowed) return false;
    const size_t skip = sign ? 1 : 0;
    if (!rest().substr(skip).starts_with(end)) return false;
    at_ += skip + end.size();
    if (sign == '-') {
      skip_space();
    } else if (sign == '\0' && end != "}}" && at("\n")) {
      ++at_;
    }
    line_starting_ = source_[at_ - 1] == '\n';
    return true;
  }

  Result<> lex_comment() {
    const Position start = position_of(at_);
    at_ += sign_at(at_ + 2) ? 3 : 2;
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) return fail(located(start, "comment without end"));
    at_ = end > at_ && sign_at(end - 1) ? end - 1 : end;
    take_end("#}", true);
    return {};
  }

  /// Whether the tag at `open` is {% raw %}.
  std::optional<Raw> match_raw(size_t open) {
    const size_t back = at_;
    const char sign = sign_at(open + 2);
    at_ = open + (sign ? 3 : 2);
    skip_space();
    std::optional<Raw> raw;
    if (at("raw") && (at_ + 3 >= source_.size() || !is_name_part(source_[at_ + 3]))) {
      at_ += 3;
      skip_space();
      const bool strip = at("-%}");
      if (strip || at("%}")) {
        at_ += strip ? 3 : 2;
        if (strip) skip_space();
        raw = Raw{.body = at_, .sign = sign};
      }
    }
    at_ = back;
    return raw;
  }

  Result<> lex_raw(Raw raw) {
    const Position start = position_of(at_);
    line_starting_ = source_[raw.body - 1] == '\n';
    size_t open = raw.body;
    while ((open = source_.find("{%", open)) != std::string::npos) {
      at_ = open + 2;
      const char sign = sign_at(at_);
      if (sign) ++at_;
      skip_space();
      if (at("endraw")) {
        at_ += 6;
        skip_space();
        const auto body = std::string_view(source_).substr(raw.body, open - raw.body);
        const std::string_view text = trimmed(body, sign, false);
        if (take_end("%}", true)) {
          emit_text(text);
          return {};
        }
      }
      open += 2;
    }
    return fail(located(start, "raw without endraw"));
  }

  Result<> lex_tag(bool is_print) {
    std::string open_brackets;
    while (true) {
      skip_space();
      if (open_brackets.empty() && lex_tag_end(is_print)) return {};
      if (at_ >= source_.size()) return {};  // the parser reports the missing end
      TRY(lex_inside(open_brackets));
    }
  }

  bool lex_tag_end(bool is_print) {
    const Position position = position_of(at_);
    if (!take_end(is_print ? "}}" : "%}", !is_print)) return false;
    const TokenKind kind = is_print ? TokenKind::kPrintEnd : TokenKind::kStatementEnd;
    tokens_.push_back({.kind = kind, .position = position, .text = ""});
    return true;
  }

  Result<> lex_inside(std::string& open_brackets) {
    const char c = source_[at_];
    if (is_digit(c)) return lex_number();
    if (c == '\'' || c == '"') return lex_string(c);
    if (is_name_start(c)) return lex_name();
    for (const std::string_view op : kOperators) {
      if (at(op)) {
        TRY(balance(op.front(), open_brackets));
        emit(TokenKind::kOperator, std::string(op));
        at_ += op.size();
        return {};
      }
    }
    return error("unexpected character '" + std::string(1, c) + "'");
  }

  Result<> balance(char c, std::string& open_brackets) {
    if (c == '(') open_brackets += ')';
    if (c == '[') open_brackets += ']';
    if (c == '{') open_brackets += '}';
    if (c != ')' && c != ']' && c != '}') return {};
    if (open_brackets.empty()) return error("unexpected '" + std::string(1, c) + "'");
    if (open_brackets.back() != c) {
      return error("unexpected '" + std::string(1, c) + "', expected '" + open_brackets.back() +
                   "'");
    }
    open_brackets.pop_back();
    return {};
  }

  Result<> lex_name() {
    size_t end = at_;
    while (end < source_.size() && is_name_part(source_[end])) ++end;
    emit(TokenKind::kName, source_.substr(at_, end - at_));
    at_ = end;
    return {};
  }

  /// Digits of `base` from `end` on; underscores between digits are dropped.
  std::string take_digits(size_t& end, int base) const {
    std::string digits;
    const auto is_one = [base](char c) {
      if (base <= 10) return c >= '0' && c < '0' + base;
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    while (end < source_.size()) {
      const bool underscore = source_[end] == '_' && end + 1 < source_.size() && !digits.empty();
      if (underscore && is_one(source_[end + 1])) ++end;
      if (!is_one(source_[end])) break;
      digits += source_[end++];
    }
    return digits;
  }

  int base_at(size_t at) const {
    if (source_[at] != '0' || at + 2 >= source_.size()) return 10;
    const char c = static_cast<char>(source_[at + 1] | 0x20);
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
  }

  Result<> lex_number() {
    const int base = base_at(at_);
    size_t end = base == 10 ? at_ : at_ + 2;
    std::string digits = take_digits(end, base);
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (base == 10 && !after_dot && take_fraction(digits, end)) {
      Token& token = emit(TokenKind::kFloat, digits);
      std::from_chars(digits.data(), digits.data() + digits.size(), token.real);
    } else {
      int64_t value = 0;
      const char* last = digits.data() + digits.size();
      const auto parsed = std::from_chars(digits.data(), last, value, base);
      if (parsed.ec != std::errc() || parsed.ptr != last) return error("bad integer " + digits);
      emit(TokenKind::kInteger, digits).integer = value;
    }
    at_ = end;
    return {};
  }

  /// Appends ".5", "e-3" or both to a number; false when it is an integer.
  bool take_fraction(std::string& digits, size_t& end) const {
    bool is_float = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      ++end;
      digits += '.' + take_digits(end, 10);
      is_float = true;
    }
    if (end >= source_.size() || (source_[end] | 0x20) != 'e') return is_float;
    size_t exponent = end + 1;
    std::string sign;
    if (exponent < source_.size() && sign_at(exponent)) sign = source_[exponent++];
    const std::string power = take_digits(exponent, 10);
    if (power.empty()) return is_float;
    digits += "e" + sign + power;
    end = exponent;
    return true;
  }

  Result<> lex_string(char quote) {
    Token& token = emit(TokenKind::kString, "");
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) {
      if (source_[end] == '\\') {
        TRY(lex_escape(token.text, end));
      } else {
        token.text += source_[end++];
      }
    }
    if (end >= source_.size()) return error("string without end");
    at_ = end + 1;
    return {};
  }

  /// One escape as in Python; an unknown one stays as it is.
  Result<> lex_escape(std::string& out, size_t& end) {
    if (end + 1 >= source_.size()) return error("string without end");
    const char c = source_[end + 1];
    constexpr std::string_view kNames = "\\'\"abfnrtv";
    constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    const size_t known = kNames.find(c);
    if (known != std::string_view::npos) {
      out += kValues[known];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      return lex_code_point(out, end, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c >= '0' && c <= '7') {
      return lex_octal(out, end);
    } else if (c != '\n') {
      out += '\\';
      out += c;
    }
    end += 2;
    return {};
  }

  Result<> lex_code_point(std::string& out, size_t& end, size_t digits) {
    const std::string_view hex = std::string_view(source_).substr(end + 2, digits);
    uint32_t value = 0;
    const auto parsed = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
    const bool whole = hex.size() == digits && parsed.ptr == hex.data() + hex.size();
    if (!whole || value > 0x10FFFF) return error("bad escape in a string");
    utf8::append(out, value);
    end += 2 + digits;
    return {};
  }

  Result<> lex_octal(std::string& out, size_t& end) {
    char32_t value = 0;
    size_t at = end + 1;
    for (; at < source_.size() && at < end + 4 && source_[at] >= '0' && source_[at] <= '7'; ++at) {
      value = value * 8 + static_cast<char32_t>(source_[at] - '0');
    }
    utf8::append(out, value);
    end = at;
    return {};
  }

  const std::string source_;
  size_t at_ = 0;
  bool line_starting_ = true;  ///< the last tag ended with the newline of its line
  size_t counted_ = 0;         ///< bytes that position_ accounts for
  Position position_;
  std::vector<Token> tokens_;
};

}  // namespace

std::string located(Position position, std::string_view text) {
  std::string out = "line " + std::to_string(position.line);
  out += ", column " + std::to_string(position.column) + ": ";
  return out.append(text);
}

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (source.size() > kSourceBytesMax) {
    return fail("template of " + std::to_string(source.size()) + " bytes, at most " +
                std::to_string(kSourceBytesMax));
  }
  return Lexer(normalize(source)).run();
}

}  // namespace neuros::text::jinja
