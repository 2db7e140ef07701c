#pragma once

/// Text as Python sees it: a sequence of code points, held as UTF-8.
/// A byte that is no valid UTF-8 counts as one code point and is kept as it is.

#include <cstddef>
#include <string>
#include <string_view>

namespace neuros::text::jinja::utf8 {

/// The code point at byte `at`, which moves past it. An invalid byte b gives U+DC00 + b.
char32_t next(std::string_view text, size_t& at);
/// The inverse of `next`.
void append(std::string& out, char32_t code_point);

/// Number of code points.
size_t count(std::string_view text);
/// Byte offset of code point `index`; the size of the text when there are fewer.
size_t offset(std::string_view text, size_t index);

/// str.isspace of one code point.
bool is_space(char32_t code_point);
/// Whether repr() prints the code point as it is.
bool is_printable(char32_t code_point);
bool is_alpha(char32_t code_point);
bool is_digit(char32_t code_point);
bool is_upper(char32_t code_point);
bool is_lower(char32_t code_point);

/// Length in bytes of the white space at the start or the end of a text.
size_t leading_space(std::string_view text);
size_t trailing_space(std::string_view text);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title: a letter that follows no letter is upper case, the others lower case.
std::string title(std::string_view text);

}  // namespace neuros::text::jinja::utf8
