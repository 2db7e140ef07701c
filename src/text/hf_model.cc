// The model of a tokenizer.json: its pieces and merges.

#include "text/hf_json.h"
#include "text/partitioned_tokenizer.h"
#include "text/unicode.h"

#include <algorithm>

namespace neuros::text::hf {
namespace {

base::Result<> put_piece(TokenId id, size_t limit, Piece piece, Vocabulary& v) {
  const auto at = static_cast<size_t>(id);
  if (at >= limit)
    return base::fail("tokenizer.json: id " + std::to_string(id) + " of '" + piece.text +
                      "' is far beyond the number of pieces, limit " + std::to_string(limit));
  if (at >= v.pieces.size()) v.pieces.resize(at + 1, {.text = "", .kind = PieceKind::kUnused});
  v.pieces[at] = std::move(piece);
  return {};
}

base::Result<> read_unigram_vocab(const Json& vocab, Vocabulary& v) {
  for (size_t id = 0; id < vocab.size(); ++id) {
    const Json& entry = vocab[id];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      return base::fail("tokenizer.json: model.vocab[" + std::to_string(id) +
                        "] is not [piece, score]");
    v.pieces.push_back({.text = entry[0].get<std::string>(), .score = entry[1].get<float>()});
  }
  return {};
}

void mark_byte_pieces(Vocabulary& v) {
  for (Piece& piece : v.pieces)
    if (parse_byte_piece(piece.text)) piece.kind = PieceKind::kByte;
}

base::Result<> read_merges(const Json& merges, Vocabulary& v) {
  if (!merges.is_array()) return base::fail("tokenizer.json: model.merges is not a list");
  for (size_t i = 0; i < merges.size(); ++i) {
    const Json& merge = merges[i];
    if (merge.is_string()) {
      v.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      const auto left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
      if (left.find(' ') != std::string::npos) return unsupported("a merge of '" + left + "'");
      v.merges.push_back(left + " " + right);
    } else {
      return base::fail("tokenizer.json: model.merges[" + std::to_string(i) +
                        "] is neither \"left right\" nor [left, right]");
    }
  }
  return {};
}

base::Result<> read_bpe(const Json& model, bool byte_level, Vocabulary& v) {
  v.kind = byte_level ? VocabularyKind::kByteBpe : VocabularyKind::kSentencePieceBpe;
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!text_or(model, key, "").empty()) return unsupported(std::string("model.") + key);
  v.ignore_merges = flag_or(model, "ignore_merges", false);
  if (flag_or(model, "byte_fallback", false)) mark_byte_pieces(v);
  const Json* merges = member(model, "merges");
  if (merges == nullptr) return base::fail("tokenizer.json: model.merges is missing");
  return read_merges(*merges, v);
}

/// "##ing" becomes "ing" and "the" becomes U+2581 "the"; "[CLS]" and its like stay.
void mark_word_starts(const std::string& continuing, Vocabulary& v) {
  for (Piece& piece : v.pieces) {
    const std::string& text = piece.text;
    if (text.empty() || (text.size() > 1 && text.front() == '[' && text.back() == ']')) continue;
    const bool continues =
        !continuing.empty() && text.size() > continuing.size() && text.starts_with(continuing);
    piece.text = continues ? text.substr(continuing.size()) : std::string(kSpaceMark) + text;
  }
}

base::Result<> read_word_piece(const Json& model, Vocabulary& v) {
  v.kind = VocabularyKind::kWordPiece;
  mark_word_starts(text_or(model, "continuing_subword_prefix", "##"), v);
  const Json* limit = member(model, "max_input_chars_per_word");
  v.word_chars_max = limit == nullptr ? 100 : id_of(*limit).value_or(100);
  return {};
}

/// Old files do not name the type.
std::string model_type(const Json& model, const Json& vocab) {
  std::string type = text_or(model, "type", "");
  if (!type.empty()) return type;
  if (vocab.is_array()) return "Unigram";
  return member(model, "merges") != nullptr ? "BPE" : "WordPiece";
}

void read_unk(const Json& model, Vocabulary& v) {
  if (const Json* id = member(model, "unk_id")) v.unk = id_of(*id);
  const std::string text = text_or(model, "unk_token", "");
  if (!text.empty()) v.unk = find_piece(v, text);
  if (v.unk && static_cast<size_t>(*v.unk) < v.pieces.size())
    v.pieces[static_cast<size_t>(*v.unk)].kind = PieceKind::kUnknown;
}

}  // namespace

std::optional<TokenId> find_piece(const Vocabulary& vocabulary, std::string_view text) {
  for (size_t id = vocabulary.pieces.size(); id-- > 0;)
    if (vocabulary.pieces[id].text == text) return static_cast<TokenId>(id);
  return std::nullopt;
}

base::Result<> read_vocab_object(const Json& vocab, Vocabulary& vocabulary) {
  if (!vocab.is_object()) return base::fail("tokenizer.json: the vocabulary is not an object");
  for (const auto& [text, number] : vocab.items()) {
    const auto id = id_of(number);
    if (!id) return base::fail("tokenizer.json: the id of piece '" + text + "' is not a number");
    TRY(put_piece(*id, vocab.size() + kHolesMax, {.text = text}, vocabulary));
  }
  return {};
}

base::Result<> read_merges_txt(std::string_view text, Vocabulary& vocabulary) {
  vocabulary.kind = VocabularyKind::kByteBpe;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    vocabulary.merges.emplace_back(line);
  }
  return {};
}

base::Result<> add_token(const Json& token, TokenId id, size_t limit, Vocabulary& vocabulary) {
  Piece piece{
      .text = text_or(token, "content", ""),
      .kind = flag_or(token, "special", false) ? PieceKind::kControl : PieceKind::kUserDefined,
      .lstrip = flag_or(token, "lstrip", false),
      .rstrip = flag_or(token, "rstrip", false)};
  if (piece.text.empty()) return {};
  const auto at = static_cast<size_t>(id);
  if (at < vocabulary.pieces.size()) piece.score = vocabulary.pieces[at].score;
  return put_piece(id, limit, std::move(piece), vocabulary);
}

base::Result<> read_model(const Json& model, bool byte_level, Vocabulary& vocabulary) {
  const Json* vocab = member(model, "vocab");
  if (vocab == nullptr) return base::fail("tokenizer.json: model.vocab is missing");
  const std::string type = model_type(model, *vocab);
  if (type == "Unigram") {
    if (!vocab->is_array()) return base::fail("tokenizer.json: model.vocab is not a list");
    vocabulary.kind = VocabularyKind::kUnigram;
    TRY(read_unigram_vocab(*vocab, vocabulary));
    if (flag_or(model, "byte_fallback", false)) mark_byte_pieces(vocabulary);
    read_unk(model, vocabulary);
    return {};
  }
  TRY(read_vocab_object(*vocab, vocabulary));
  read_unk(model, vocabulary);
  if (type == "BPE") return read_bpe(model, byte_level, vocabulary);
  if (type == "WordPiece") return read_word_piece(model, vocabulary);
  return unsupported("model type " + type);
}

}  // namespace neuros::text::hf
