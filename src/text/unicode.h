#pragma once

/// UTF-8 and the few Unicode properties that tokenizers ask for (tables: utf8proc).

#include "text/tokenizer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace neuros::text {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  ///< U+FFFD
inline constexpr std::string_view kSpaceMark =
    "\xE2\x96\x81";  ///< U+2581, a space in SentencePiece

/// One character of a UTF-8 text. Invalid bytes come one at a time with `valid` false.
struct Utf8Char {
  char32_t code = 0;
  uint8_t bytes = 1;
  bool valid = false;
};

/// The character at text[offset]; offset < text.size().
Utf8Char read_utf8(std::string_view text, size_t offset);
void append_utf8(char32_t code, std::string& out);

/// How many bytes from the start are valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);
/// How many bytes at the end (0 to 3) begin a character that further bytes could complete.
size_t open_utf8_tail(std::string_view text);
/// Every maximal invalid part becomes one U+FFFD (Unicode 15, 3.9 "best practice").
std::string replace_invalid_utf8(std::string_view text);

bool is_white_space(char32_t code);      ///< property White_Space
bool is_other(char32_t code);            ///< general category C (control, format, unassigned, ...)
bool is_punctuation(char32_t code);      ///< BERT's: category P, and all ASCII symbols
bool is_nonspacing_mark(char32_t code);  ///< general category Mn
bool is_cjk_ideograph(char32_t code);    ///< the blocks that BERT isolates
char32_t to_lower(char32_t code);

/// Normal form of a valid UTF-8 text; a text that utf8proc refuses comes back unchanged.
std::string normalize_utf8(std::string_view text, Normalization form);

}  // namespace neuros::text
