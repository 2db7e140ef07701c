#include "builder/spec/prompt_template.h"

namespace neuros::builder {
namespace {

/// What follows a dollar sign: how many bytes of the text, and the reference if it is one.
struct Mention {
  size_t bytes = 0;
  Reference reference;
};

base::Result<Mention> mention_after_dollar(std::string_view rest) {
  const bool braced = rest.starts_with('{');
  const std::string_view named = rest.substr(braced ? 1 : 0);
  const size_t length = reference_length(named);
  if (!braced) return Mention{length, reference_of(named.substr(0, length))};
  if (length == 0 || length >= named.size() || named[length] != '}') {
    return base::fail("expected ${NAME} or ${NAME.FIELD}; a dollar sign is $$");
  }
  return Mention{length + 2, reference_of(named.substr(0, length))};
}

size_t column_of(std::string_view text, size_t at) {
  size_t column = 1;
  for (size_t i = 0; i < at; ++i) column += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
  return column;
}

}  // namespace

std::vector<Reference> PromptTemplate::references() const {
  std::vector<Reference> all;
  for (const Piece& piece : pieces) {
    if (!piece.reference.source.empty()) all.push_back(piece.reference);
  }
  return all;
}

base::Result<PromptTemplate> parse_prompt_template(std::string_view text) {
  PromptTemplate prompt{std::string(text), {}};
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c != '$') {
      plain += c;
      continue;
    }
    if (at < text.size() && text[at] == '$') {
      plain += '$';
      ++at;
      continue;
    }
    const auto mention = mention_after_dollar(text.substr(at));
    if (!mention) {
      return tl::unexpected(
          base::with_context(mention.error(), "column " + std::to_string(column_of(text, at - 1))));
    }
    if (mention->bytes == 0) {
      plain += '$';
      continue;
    }
    prompt.pieces.push_back({std::move(plain), mention->reference});
    plain.clear();
    at += mention->bytes;
  }
  if (!plain.empty()) prompt.pieces.push_back({std::move(plain), {}});
  return prompt;
}

}  // namespace neuros::builder
