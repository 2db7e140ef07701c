#include "text/special_tokens.h"

namespace neuros::text {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

size_t skip_space(std::string_view text, size_t offset) {
  while (offset < text.size() && is_space(text[offset])) ++offset;
  return offset;
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  std::vector<Trie::Entry> always, special;
  bool strips = false;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const Piece& piece = vocabulary.pieces[id];
    if (piece.text.empty()) continue;
    const Trie::Entry entry{piece.text, static_cast<int32_t>(id)};
    const bool user_defined = piece.kind == PieceKind::kUserDefined;
    if (user_defined) always.push_back(entry);
    if (user_defined || piece.kind == PieceKind::kControl || piece.kind == PieceKind::kUnknown) {
      special.push_back(entry);
      strips = strips || piece.lstrip || piece.rstrip;
    }
  }
  always_ = Trie(always);
  special_ = Trie(special);
  if (!strips) return;
  strips_.resize(vocabulary.pieces.size());
  for (size_t id = 0; id < strips_.size(); ++id)
    strips_[id] = {vocabulary.pieces[id].lstrip, vocabulary.pieces[id].rstrip};
}

void SpecialTokens::partition(std::string_view text, bool parse_special,
                              base::FunctionRef<void(const Part&)> sink) const {
  const Trie& trie = parse_special ? special_ : always_;
  size_t done = 0, offset = 0;
  while (offset < text.size() && !trie.empty()) {
    const Trie::Match match = trie.longest(text, offset);
    if (match.bytes == 0) {
      ++offset;
      continue;
    }
    const Strip strip = strips_.empty() ? Strip{} : strips_[static_cast<size_t>(match.value)];
    std::string_view before = text.substr(done, offset - done);
    if (strip.left) before = without_trailing_space(before);
    if (!before.empty()) sink({before, std::nullopt});
    sink({text.substr(offset, match.bytes), match.value});
    offset += match.bytes;
    if (strip.right) offset = skip_space(text, offset);
    done = offset;
  }
  if (done < text.size()) sink({text.substr(done), std::nullopt});
}

}  // namespace neuros::text
