#include "text/jinja/strings.h"

#include "text/jinja/utf8.h"

#include <cstring>
#include <string>

namespace neuros::text::jinja {

using base::Result;

namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_among(std::string_view characters, char32_t wanted) {
  for (size_t at = 0; at < characters.size();) {
    if (utf8::next(characters, at) == wanted) return true;
  }
  return false;
}

/// Byte where the last code point of a text that is not empty starts.
size_t last_start(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && text.size() - start < 4 && (text[start] & 0xC0) == 0x80) --start;
  size_t after = start;
  utf8::next(text, after);
  return after == text.size() ? start : text.size() - 1;
}

std::string_view strip_left(std::string_view text, std::string_view characters) {
  size_t at = 0;
  while (at < text.size()) {
    size_t after = at;
    if (!is_among(characters, utf8::next(text, after))) break;
    at = after;
  }
  return text.substr(at);
}

std::string_view strip_right(std::string_view text, std::string_view characters) {
  while (!text.empty()) {
    const size_t start = last_start(text);
    size_t after = start;
    if (!is_among(characters, utf8::next(text, after))) break;
    text = text.substr(0, start);
  }
  return text;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return kNone;
  if (needle.empty()) return from;
  // std::string_view::find takes time in the product of both sizes at worst; memmem does not.
  const char* start = text.data() + from;
  const void* found = memmem(start, text.size() - from, needle.data(), needle.size());
  if (!found) return kNone;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t find_last_text(std::string_view text, std::string_view needle) {
  const std::string backwards(text.rbegin(), text.rend());
  const std::string wanted(needle.rbegin(), needle.rend());
  const size_t found = find_text(backwards, wanted);
  return found == kNone ? kNone : text.size() - found - needle.size();
}

std::string_view strip(std::string_view text, std::optional<std::string_view> characters,
                       Side side) {
  if (side != Side::kRight) {
    text = characters ? strip_left(text, *characters) : text.substr(utf8::leading_space(text));
  }
  if (side != Side::kLeft) {
    text = characters ? strip_right(text, *characters)
                      : text.substr(0, text.size() - utf8::trailing_space(text));
  }
  return text;
}

std::vector<std::string_view> split_lines(std::string_view text, LineEnds ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = utf8::next(text, at);
    if (!is_line_end(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(start, (ends == LineEnds::kKeep ? at : end) - start));
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

Result<Value> replace_text(Runtime& runtime, std::string_view text, std::string_view old_part,
                           std::string_view new_part, int64_t count) {
  TextBuilder out(runtime);
  size_t from = 0;
  size_t search = 0;
  for (int64_t done = 0; count < 0 || done < count; ++done) {
    const size_t found = find_text(text, old_part, search);
    if (found == kNone) break;
    TRY(out.append(text.substr(from, found - from)));
    TRY(out.append(new_part));
    from = found + old_part.size();
    search = from;
    if (old_part.empty()) {  // between all code points
      if (search == text.size()) break;
      utf8::next(text, search);
    }
  }
  TRY(out.append(text.substr(from)));
  return out.finish();
}

Result<Value> pad_text(Runtime& runtime, std::string_view text, int64_t width, char align,
                       std::string_view fill) {
  const int64_t missing = width - static_cast<int64_t>(utf8::count(text));
  const int64_t total = missing > 0 ? missing : 0;
  const int64_t extra = align == kCenter ? total & width & 1 : 0;
  const int64_t left = align == '<' ? 0 : align == '>' ? total : total / 2 + extra;
  TextBuilder out(runtime);
  TRY(out.append_repeated(fill, left));
  TRY(out.append(text));
  TRY(out.append_repeated(fill, total - left));
  return out.finish();
}

}  // namespace neuros::text::jinja
