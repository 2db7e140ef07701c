#include "text/jinja/format_spec.h"

#include "text/jinja/builtin.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/jinja/utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

constexpr int64_t kPrecisionMax = 1000;
constexpr int64_t kWidthMax = 1 << 20;

bool is_align(char c) {
  return c == '<' || c == '>' || c == '^' || c == '=';
}

/// A number without its sign: what stands before the digits ("0x") and the digits.
struct NumberText {
  bool negative = false;
  std::string prefix;
  std::string digits;
};

void group_digits(std::string& digits, char separator) {
  const size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (size_t at = end; at > 3; at -= 3) digits.insert(at - 3, 1, separator);
}

Result<NumberText> format_integer(int64_t value, const FormatSpec& spec) {
  const char type = spec.type ? spec.type : 'd';
  const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  if (base == 10 && type != 'd' && type != 'n') {
    return fail(std::string("format: unknown type '") + type + "' for an int");
  }
  const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  char buffer[72];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, size, base).ptr;
  NumberText text{.negative = value < 0, .prefix = "", .digits = std::string(buffer, end)};
  if (type == 'X')
    std::transform(buffer, end, text.digits.begin(),
                   [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (spec.alternate && base != 10) text.prefix = std::string("0") + type;
  return text;
}

std::string printf_double(char type, int64_t precision, bool alternate, double value) {
  const std::string format = std::string(alternate ? "%#.*" : "%.*") + type;
  const int digits = static_cast<int>(precision);
  const int size = std::snprintf(nullptr, 0, format.c_str(), digits, value);
  std::vector<char> buffer(static_cast<size_t>(size) + 1);
  std::snprintf(buffer.data(), buffer.size(), format.c_str(), digits, value);
  return std::string(buffer.data());
}

Result<NumberText> format_float(double value, const FormatSpec& spec) {
  NumberText text{
      .negative = std::signbit(value) && !std::isnan(value), .prefix = "", .digits = ""};
  const double size = std::fabs(value);
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  const char type = spec.type == 'n' ? 'g' : spec.type;
  if (type == '\0' && spec.precision < 0) {
    text.digits = float_text(size);
  } else if (type == '\0') {
    text.digits = printf_double('g', std::max<int64_t>(precision, 1), spec.alternate, size);
    if (text.digits.find_first_not_of("0123456789") == std::string::npos) text.digits += ".0";
  } else if (type == '%') {
    text.digits = printf_double('f', precision, spec.alternate, size * 100) + '%';
  } else if (std::string_view("eEfFgG").find(type) != std::string_view::npos) {
    text.digits = printf_double(type, precision, spec.alternate, size);
  } else {
    return fail(std::string("format: unknown type '") + type + "' for a float");
  }
  return text;
}

Result<NumberText> format_number(const Value& value, const FormatSpec& spec) {
  const bool float_type =
      spec.type && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  NumberText text = value.is_float() || float_type ? TRY(format_float(value.real(), spec))
                                                   : TRY(format_integer(value.integer(), spec));
  if (spec.grouping) group_digits(text.digits, spec.grouping);
  return text;
}

Result<> append_number(Runtime& runtime, TextBuilder& out, const Value& value,
                       const FormatSpec& spec) {
  const NumberText number = TRY(format_number(value, spec));
  std::string head = number.negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  head += number.prefix;
  if (spec.align == '=') {
    TRY(out.append(head));
    const auto used = static_cast<int64_t>(head.size() + number.digits.size());
    TRY(out.append_repeated(spec.fill, spec.width - used));
    return out.append(number.digits);
  }
  const char align = spec.align ? spec.align : '>';
  return out.append(
      TRY(pad_text(runtime, head + number.digits, spec.width, align, spec.fill)).string());
}

Result<> append_plain(Runtime& runtime, TextBuilder& out, std::string_view text,
                      const FormatSpec& spec) {
  if (spec.precision >= 0)
    text = text.substr(0, utf8::offset(text, static_cast<size_t>(spec.precision)));
  const char align = spec.align == '\0' || spec.align == '=' ? '<' : spec.align;
  return out.append(TRY(pad_text(runtime, text, spec.width, align, spec.fill)).string());
}

Result<> append_character(Runtime& runtime, TextBuilder& out, const Value& value,
                          const FormatSpec& spec) {
  if (!value.is_integral() || value.integer() < 0 || value.integer() > 0x10FFFF) {
    return fail("format: 'c' needs a code point");
  }
  std::string text;
  utf8::append(text, static_cast<char32_t>(value.integer()));
  return append_plain(runtime, out, text, spec);
}

/// "[[fill]align]"
void take_align(std::string_view& text, FormatSpec& spec) {
  if (text.empty()) return;
  size_t after = 0;
  utf8::next(text, after);
  if (after < text.size() && is_align(text[after])) {
    spec.fill = text.substr(0, after);
    spec.align = text[after];
    text.remove_prefix(after + 1);
  } else if (is_align(text[0])) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
}

/// An empty specification, with which a bool is a word and not a number.
bool is_plain(const FormatSpec& spec) {
  return !spec.type && !spec.align && spec.width == 0 && spec.precision < 0 && spec.sign == '-';
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

Result<int64_t> take_number(std::string_view& text) {
  int64_t number = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || text[0] == '-' || parsed.ptr == text.data()) return -1;
  if (parsed.ec != std::errc() || number > kWidthMax) {
    return fail("format: a width or precision over " + std::to_string(kWidthMax));
  }
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  return number;
}

Result<FormatSpec> parse_format_spec(std::string_view text) {
  FormatSpec spec;
  take_align(text, spec);
  for (const char sign : {'+', '-', ' '}) {
    if (take(text, sign)) spec.sign = sign;
  }
  spec.alternate = take(text, '#');
  if (take(text, '0') && !spec.align) {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.width = std::max<int64_t>(TRY(take_number(text)), 0);
  for (const char separator : {',', '_'}) {
    if (take(text, separator)) spec.grouping = separator;
  }
  if (take(text, '.')) {
    spec.precision = TRY(take_number(text));
    if (spec.precision < 0) return fail("format: precision missing");
  }
  if (text.size() > 1) return fail("format: bad specification '" + std::string(text) + "'");
  if (!text.empty()) spec.type = text[0];
  return spec;
}

Result<> append_formatted(Runtime& runtime, TextBuilder& out, const Value& value,
                          const FormatSpec& spec) {
  if (spec.precision > kPrecisionMax && !value.is_string()) {
    return fail("format: a precision over " + std::to_string(kPrecisionMax));
  }
  if (spec.type == 'c') return append_character(runtime, out, value, spec);
  if (value.is_number() && spec.type != 's' && !(value.is<bool>() && is_plain(spec))) {
    return append_number(runtime, out, value, spec);
  }
  if (spec.type && spec.type != 's') {
    if (value.is_undefined()) return fail_undefined(value);
    return fail(std::string("format: '") + spec.type + "' needs a number, not " +
                std::string(type_name(value)));
  }
  return append_plain(runtime, out, TRY(to_text(runtime, value)).string(), spec);
}

}  // namespace neuros::text::jinja
