#include "text/tokenizer.h"

#include "text/partitioned_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace neuros::text {
namespace {

constexpr size_t kPiecesMax = size_t{1} << 24;
constexpr size_t kPieceBytesMax = 8192;

base::Result<> check_pieces(const Vocabulary& vocabulary) {
  if (vocabulary.pieces.empty()) return base::fail("tokenizer: the vocabulary has no pieces");
  if (vocabulary.pieces.size() > kPiecesMax)
    return base::fail("tokenizer: " + std::to_string(vocabulary.pieces.size()) + " pieces, limit " +
                      std::to_string(kPiecesMax));
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const Piece& piece = vocabulary.pieces[id];
    if (piece.text.size() > kPieceBytesMax)
      return base::fail("tokenizer: piece " + std::to_string(id) + ": " +
                        std::to_string(piece.text.size()) + " bytes, limit " +
                        std::to_string(kPieceBytesMax));
    if (!std::isfinite(piece.score))
      return base::fail("tokenizer: piece " + std::to_string(id) + ": its score is not a number");
  }
  return {};
}

base::Result<> check_id(const Vocabulary& vocabulary, const char* name, std::optional<TokenId> id) {
  const auto size = static_cast<TokenId>(vocabulary.pieces.size());
  if (!id || (*id >= 0 && *id < size)) return {};
  return base::fail("tokenizer: " + std::string(name) + " id " + std::to_string(*id) +
                    " is outside the vocabulary of " + std::to_string(size) + " pieces");
}

base::Result<> check_ids(const Vocabulary& v) {
  const std::pair<const char*, std::optional<TokenId>> ids[] = {
      {"bos", v.bos}, {"eos", v.eos}, {"unk", v.unk}, {"pad", v.pad},
      {"eot", v.eot}, {"sep", v.sep}, {"cls", v.cls}, {"mask", v.mask},
  };
  for (const auto& [name, id] : ids) TRY(check_id(v, name, id));
  for (const TokenId id : v.end_of_generation) TRY(check_id(v, "end of generation", id));
  for (const TokenId id : v.begin_with) TRY(check_id(v, "begin_with", id));
  for (const TokenId id : v.end_with) TRY(check_id(v, "end_with", id));
  const bool word_piece = v.kind == VocabularyKind::kWordPiece;
  if (v.add_bos && v.begin_with.empty() && !v.bos && !(word_piece && v.cls))
    return base::fail("tokenizer: add_bos is set, but there is no bos id");
  if (v.add_eos && v.end_with.empty() && !v.eos && !(word_piece && v.sep))
    return base::fail("tokenizer: add_eos is set, but there is no eos id");
  return {};
}

}  // namespace

struct Tokenizer::Index {
  std::unordered_map<std::string_view, TokenId> by_text;
  std::vector<bool> ends_generation;  // by id
};

Tokenizer::Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  auto index = std::make_shared<Index>();
  index->by_text.reserve(vocabulary_.pieces.size());
  for (size_t id = 0; id < vocabulary_.pieces.size(); ++id)
    index->by_text.emplace(vocabulary_.pieces[id].text, static_cast<TokenId>(id));
  index->ends_generation.resize(vocabulary_.pieces.size());
  for (const TokenId id : vocabulary_.end_of_generation)
    index->ends_generation[static_cast<size_t>(id)] = true;
  if (vocabulary_.eos) index->ends_generation[static_cast<size_t>(*vocabulary_.eos)] = true;
  index_ = std::move(index);
}

Tokenizer::~Tokenizer() = default;

base::Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(Vocabulary vocabulary) {
  TRY(check_pieces(vocabulary));
  TRY(check_ids(vocabulary));
  switch (vocabulary.kind) {
    case VocabularyKind::kByteBpe:
      return make_byte_bpe_tokenizer(std::move(vocabulary));
    case VocabularyKind::kSentencePieceBpe:
      return make_sentencepiece_bpe_tokenizer(std::move(vocabulary));
    case VocabularyKind::kUnigram:
      return make_unigram_tokenizer(std::move(vocabulary));
    case VocabularyKind::kWordPiece:
      return make_word_piece_tokenizer(std::move(vocabulary));
  }
  return base::fail("tokenizer: unknown kind of vocabulary");
}

bool Tokenizer::ends_generation(TokenId id) const {
  return id >= 0 && id < size() && index_->ends_generation[static_cast<size_t>(id)];
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  const auto found = index_->by_text.find(piece);
  if (found == index_->by_text.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::drops_first_space() const {
  switch (vocabulary_.kind) {
    case VocabularyKind::kWordPiece:
      return true;
    case VocabularyKind::kByteBpe:
      return false;
    case VocabularyKind::kSentencePieceBpe:
    case VocabularyKind::kUnigram:
      return vocabulary_.add_space_prefix;
  }
  return false;
}

}  // namespace neuros::text
