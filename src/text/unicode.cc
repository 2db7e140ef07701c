#include "text/unicode.h"

#include <algorithm>
#include <cstdlib>

#include <utf8proc.h>

namespace neuros::text {
namespace {

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

/// Length of the character a lead byte announces; 0 for a byte that cannot lead.
size_t announced_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// Whether `second` may follow `lead`: excludes overlong forms, surrogates and codes above
/// U+10FFFF.
bool second_byte_fits(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return is_continuation(second);
  }
}

/// How many bytes at text[offset] are a prefix of some valid character (0 if not even the first).
size_t matching_bytes(std::string_view text, size_t offset, size_t announced) {
  if (announced == 0) return 0;
  size_t count = 1;
  while (count < announced && offset + count < text.size()) {
    const auto byte = static_cast<unsigned char>(text[offset + count]);
    const bool fits = count == 1 ? second_byte_fits(static_cast<unsigned char>(text[offset]), byte)
                                 : is_continuation(byte);
    if (!fits) break;
    ++count;
  }
  return count;
}

/// utf8proc sorts a run of combining marks in quadratic time; longer runs are cut (no language has
/// them; UAX #15's Stream-Safe format allows 30).
constexpr size_t kMarksInARowMax = 64;

int combining_class(char32_t code) {
  if (code < 0x300) return 0;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}

utf8proc_option_t normal_form_options(Normalization form) {
  int options = UTF8PROC_STABLE;
  const bool compose = form == Normalization::kNfc || form == Normalization::kNfkc;
  options |= compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == Normalization::kNfkc || form == Normalization::kNfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

void append_normalized(std::string_view text, Normalization form, std::string& out) {
  if (text.empty()) return;
  utf8proc_uint8_t* mapped = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, normal_form_options(form));
  if (size < 0) {
    out.append(text);
    return;
  }
  out.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);
}

}  // namespace

Utf8Char read_utf8(std::string_view text, size_t offset) {
  const auto lead = static_cast<unsigned char>(text[offset]);
  if (lead < 0x80) return {lead, 1, true};
  const size_t length = announced_length(lead);
  if (length == 0 || matching_bytes(text, offset, length) < length) return {lead, 1, false};
  char32_t code = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i)
    code = (code << 6) | (static_cast<unsigned char>(text[offset + i]) & 0x3Fu);
  return {code, static_cast<uint8_t>(length), true};
}

void append_utf8(char32_t code, std::string& out) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t offset = 0;
  while (offset < text.size()) {
    const Utf8Char c = read_utf8(text, offset);
    if (!c.valid) break;
    offset += c.bytes;
  }
  return offset;
}

size_t open_utf8_tail(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t start = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[start]);
    if (is_continuation(byte)) continue;
    const size_t length = announced_length(byte);
    const bool open = length > back && matching_bytes(text, start, length) == back;
    return open ? back : 0;
  }
  return 0;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  size_t offset = 0;
  while (offset < text.size()) {
    const size_t good = valid_utf8_prefix(text.substr(offset));
    out.append(text.substr(offset, good));
    offset += good;
    if (offset == text.size()) break;
    const size_t length = announced_length(static_cast<unsigned char>(text[offset]));
    const size_t bad = matching_bytes(text, offset, length);
    out.append(kReplacementCharacter);
    offset += bad > 0 ? bad : 1;
  }
  return out;
}

bool is_white_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  if (code == 0x85) return true;
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

bool is_other(char32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
}

bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  const auto c = category(code);
  return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool is_nonspacing_mark(char32_t code) {
  return code >= 0x300 && category(code) == UTF8PROC_CATEGORY_MN;
}

bool is_cjk_ideograph(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B820 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

char32_t to_lower(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

std::string normalize_utf8(std::string_view text, Normalization form) {
  if (form == Normalization::kNone || is_ascii(text)) return std::string(text);
  std::string out;
  size_t start = 0, marks = 0;
  for (size_t offset = 0; offset < text.size();) {
    const Utf8Char c = read_utf8(text, offset);
    offset += c.bytes;
    marks = combining_class(c.code) == 0 ? 0 : marks + 1;
    if (marks < kMarksInARowMax) continue;
    append_normalized(text.substr(start, offset - start), form, out);
    start = offset;
    marks = 0;
  }
  append_normalized(text.substr(start), form, out);
  return out;
}

}  // namespace neuros::text
