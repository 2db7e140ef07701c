#include "text/text_normalizer.h"

#include "text/unicode.h"

namespace neuros::text {
namespace {

std::string without_accents(std::string_view text) {
  const std::string decomposed = normalize_utf8(text, Normalization::kNfd);
  std::string out;
  for (size_t offset = 0; offset < decomposed.size();) {
    const Utf8Char c = read_utf8(decomposed, offset);
    if (!c.valid || !is_nonspacing_mark(c.code))
      out.append(std::string_view(decomposed).substr(offset, c.bytes));
    offset += c.bytes;
  }
  return out;
}

std::string lowered(std::string_view text) {
  std::string out;
  for (size_t offset = 0; offset < text.size();) {
    const Utf8Char c = read_utf8(text, offset);
    if (c.valid) {
      append_utf8(to_lower(c.code), out);
    } else {
      out.push_back(text[offset]);
    }
    offset += c.bytes;
  }
  return out;
}

}  // namespace

base::Result<TextNormalizer> TextNormalizer::create(const Vocabulary& vocabulary) {
  TextNormalizer result;
  result.charsmap_ = TRY(Charsmap::create(vocabulary.charsmap));
  result.form_ = vocabulary.normalization;
  result.lower_case_ = vocabulary.lower_case;
  result.strip_accents_ = vocabulary.strip_accents;
  return result;
}

bool TextNormalizer::active() const {
  return !charsmap_.empty() || form_ != Normalization::kNone || lower_case_ || strip_accents_;
}

std::string TextNormalizer::apply(std::string_view text) const {
  std::string result;
  if (charsmap_.empty()) {
    result = text;
  } else {
    charsmap_.apply(text, result);
  }
  if (form_ != Normalization::kNone) result = normalize_utf8(result, form_);
  if (strip_accents_) result = without_accents(result);
  if (lower_case_) result = lowered(result);
  return result;
}

void append_with_space_marks(std::string_view text, SpaceRules rules, std::string& out) {
  if (rules.remove_extra) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
  }
  if (text.empty()) return;
  const bool present = text.starts_with(' ') || text.starts_with(kSpaceMark);
  if (rules.prefix && !(rules.prefix_if_missing && present)) out.append(kSpaceMark);
  bool after_space = false;
  for (const char c : text) {
    if (c != ' ') {
      out.push_back(c);
    } else if (!rules.remove_extra || !after_space) {
      out.append(kSpaceMark);
    }
    after_space = c == ' ';
  }
}

std::string replace_space_marks(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t at = text.find(kSpaceMark);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) break;
    out.push_back(' ');
    text.remove_prefix(at + kSpaceMark.size());
  }
  return out;
}

}  // namespace neuros::text
