#include "text/partitioned_tokenizer.h"

#include "base/check.h"
#include "text/text_normalizer.h"
#include "text/unicode.h"

#include <algorithm>

namespace neuros::text {
namespace {

constexpr size_t kTextBytesMax = size_t{1}
                                 << 30;  // offsets are 32 bits, with room to escape spaces
constexpr size_t kCachedTextBytesMin = 512;

/// The first that is given.
std::vector<TokenId> around(const std::vector<TokenId>& explicit_ids, std::optional<TokenId> a,
                            std::optional<TokenId> b) {
  if (!explicit_ids.empty()) return explicit_ids;
  if (a) return {*a};
  if (b) return {*b};
  return {};
}

}  // namespace

PartitionedTokenizer::PartitionedTokenizer(Vocabulary vocabulary)
    : Tokenizer(std::move(vocabulary)), specials_(vocabulary_) {
  const Vocabulary& v = vocabulary_;
  const bool word_piece = v.kind == VocabularyKind::kWordPiece;
  spells_spaces_ = !word_piece && v.kind != VocabularyKind::kByteBpe;
  const std::optional<TokenId> none;
  if (v.add_bos) begin_ = around(v.begin_with, word_piece ? v.cls : none, v.bos);
  if (v.add_eos) end_ = around(v.end_with, word_piece ? v.sep : none, v.eos);
}

std::vector<TokenId> PartitionedTokenizer::encode(std::string_view text,
                                                  EncodeOptions options) const {
  CHECK(text.size() <= kTextBytesMax, "text over 1 GiB");
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 4 + 4);
  if (options.add_special) ids.insert(ids.end(), begin_.begin(), begin_.end());
  EncodeScratch scratch;
  scratch.use_cache = text.size() >= kCachedTextBytesMin;
  bool first = true;
  specials_.partition(text, options.parse_special, [&](const SpecialTokens::Part& part) {
    if (part.id) {
      ids.push_back(*part.id);
      first = false;
    } else {
      encode_fragment({part.text, first}, scratch, ids);
    }
  });
  if (options.add_special) ids.insert(ids.end(), end_.begin(), end_.end());
  return ids;
}

bool PartitionedTokenizer::wants_space_prefix(const Fragment& fragment) const {
  return vocabulary_.add_space_prefix && (fragment.first || !vocabulary_.space_prefix_first_only);
}

std::string PartitionedTokenizer::piece_bytes(TokenId id, bool show_special) const {
  if (id < 0 || id >= size()) return {};
  const Piece& piece = vocabulary_.pieces[static_cast<size_t>(id)];
  switch (piece.kind) {
    case PieceKind::kControl:
    case PieceKind::kUnknown:
      return show_special ? piece.text : std::string();
    case PieceKind::kUserDefined:
      return spells_spaces_ ? replace_space_marks(piece.text) : piece.text;
    case PieceKind::kByte:
      if (const auto byte = parse_byte_piece(piece.text))
        return std::string(1, static_cast<char>(*byte));
      return piece.text;
    case PieceKind::kNormal:
    case PieceKind::kUnused:
      break;
  }
  return normal_piece_bytes(id);
}

std::string PartitionedTokenizer::decode(std::span<const TokenId> ids, bool show_special) const {
  std::string bytes;
  bool at_start = drops_first_space();
  for (const TokenId id : ids) {
    const std::string piece = piece_bytes(id, show_special);
    bytes.append(piece, at_start && piece.starts_with(' ') ? 1 : 0);
    at_start = at_start && piece.empty();
  }
  return replace_invalid_utf8(bytes);
}

std::optional<unsigned char> parse_byte_piece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  const int high = digit(text[3]), low = digit(text[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<unsigned char>(high * 16 + low);
}

ByteFallback::ByteFallback(const Vocabulary& vocabulary) : ids_(256, -1) {
  for (size_t id = vocabulary.pieces.size(); id-- > 0;) {
    const Piece& piece = vocabulary.pieces[id];
    if (piece.kind != PieceKind::kByte) continue;
    if (const auto byte = parse_byte_piece(piece.text)) ids_[*byte] = static_cast<TokenId>(id);
  }
  complete_ = std::find(ids_.begin(), ids_.end(), -1) == ids_.end();
}

void ByteFallback::append(std::string_view bytes, std::optional<TokenId> unk, size_t start,
                          std::vector<TokenId>& ids) const {
  for (const char byte : bytes) {
    const TokenId id = ids_[static_cast<unsigned char>(byte)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (unk && (ids.size() <= start || ids.back() != *unk)) {
      ids.push_back(*unk);
    }
  }
}

}  // namespace neuros::text
