#include "text/partitioned_tokenizer.h"
#include "text/pre_tokenizer.h"
#include "text/text_normalizer.h"
#include "text/unicode.h"

#include <algorithm>
#include <unordered_map>

namespace neuros::text {
namespace {

/// SentencePiece's BPE (Llama 2, Mistral 7B, Gemma): characters grow by merges, in the order of the
/// scores of what they merge into, or of the list of merges where the file has one.
class SentencePieceBpeTokenizer final : public PartitionedTokenizer {
 public:
  explicit SentencePieceBpeTokenizer(Vocabulary vocabulary)
      : PartitionedTokenizer(std::move(vocabulary)), fallback_(vocabulary_) {}

  base::Result<> build();

 protected:
  void encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                       std::vector<TokenId>& ids) const override;
  std::string normal_piece_bytes(TokenId id) const override;

 private:
  using SymbolIds = std::unordered_map<std::string_view, int32_t>;

  SymbolIds collect_symbols();
  base::Result<> add_listed_merges(const SymbolIds& symbols);
  void add_scored_merges(const SymbolIds& symbols);
  void encode_words(std::string_view text, EncodeScratch& scratch, std::vector<TokenId>& ids) const;
  void encode_word(std::string_view word, EncodeScratch& scratch, std::vector<TokenId>& ids) const;
  void merge_word(std::string_view word, EncodeScratch& scratch, std::vector<TokenId>& ids) const;

  PreTokenizer pre_tokenizer_;
  TextNormalizer normalizer_;
  ByteFallback fallback_;
  /// Symbols of one character. Those that are no piece have ids from size() on.
  std::unordered_map<char32_t, int32_t> char_ids_;
  MergeTable merges_;
  bool words_are_apart_ = true;          // no piece reaches over the start of a word
  bool newline_runs_are_whole_ = false;  // Gemma 4: a run of newlines is looked up before merging
};

bool takes_part(const Piece& piece) {
  return piece.kind == PieceKind::kNormal || piece.kind == PieceKind::kUserDefined ||
         piece.kind == PieceKind::kUnused;
}

/// Where the next word begins: at a space mark that follows something else.
size_t word_end(std::string_view text) {
  size_t at = 0;
  while (text.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
  return std::min(text.find(kSpaceMark, at), text.size());
}

/// 0 for the best score, equal for equal scores.
std::vector<uint32_t> ranks_of_scores(const std::vector<Piece>& pieces) {
  std::vector<float> scores;
  for (const Piece& piece : pieces) scores.push_back(piece.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  std::vector<uint32_t> ranks;
  for (const Piece& piece : pieces) {
    const auto at = std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
    ranks.push_back(static_cast<uint32_t>(at - scores.begin()));
  }
  return ranks;
}

base::Result<> SentencePieceBpeTokenizer::build() {
  pre_tokenizer_ = TRY(PreTokenizer::create(vocabulary_.pre_steps));
  normalizer_ = TRY(TextNormalizer::create(vocabulary_));
  newline_runs_are_whole_ = vocabulary_.pre == "gemma4";
  const SymbolIds symbols = collect_symbols();
  if (vocabulary_.merges.empty()) {
    add_scored_merges(symbols);
    return {};
  }
  return add_listed_merges(symbols);
}

SentencePieceBpeTokenizer::SymbolIds SentencePieceBpeTokenizer::collect_symbols() {
  SymbolIds symbols;
  for (size_t id = 0; id < vocabulary_.pieces.size(); ++id) {
    const Piece& piece = vocabulary_.pieces[id];
    if (!takes_part(piece) || piece.text.empty()) continue;
    symbols.emplace(piece.text, static_cast<int32_t>(id));
    if (word_end(piece.text) < piece.text.size()) words_are_apart_ = false;
  }
  int32_t next_id = size();
  for (const Piece& piece : vocabulary_.pieces) {
    if (!takes_part(piece)) continue;
    const std::string_view text = piece.text;
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = read_utf8(text, at);
      const auto [symbol, added] = symbols.emplace(text.substr(at, c.bytes), next_id);
      next_id += added ? 1 : 0;
      if (c.valid) char_ids_.emplace(c.code, symbol->second);
      at += c.bytes;
    }
  }
  return symbols;
}

base::Result<> SentencePieceBpeTokenizer::add_listed_merges(const SymbolIds& symbols) {
  merges_ = MergeTable(vocabulary_.merges.size());
  for (size_t rank = 0; rank < vocabulary_.merges.size(); ++rank) {
    const std::string& merge = vocabulary_.merges[rank];
    const size_t space = merge.find(' ', 1);
    const std::string_view left = std::string_view(merge).substr(0, space);
    const std::string right = space == std::string::npos ? "" : merge.substr(space + 1);
    const auto left_id = symbols.find(left), right_id = symbols.find(right);
    const auto merged_id = symbols.find(std::string(left) + right);
    if (left_id == symbols.end() || right_id == symbols.end() || merged_id == symbols.end())
      return base::fail("tokenizer: merge " + std::to_string(rank) + " '" + merge +
                        "': a part or the whole is not in the vocabulary");
    merges_.add(left_id->second, right_id->second,
                {static_cast<uint32_t>(rank), merged_id->second});
  }
  return {};
}

void SentencePieceBpeTokenizer::add_scored_merges(const SymbolIds& symbols) {
  const std::vector<uint32_t> ranks = ranks_of_scores(vocabulary_.pieces);
  merges_ = MergeTable(vocabulary_.pieces.size() * 2);
  for (size_t id = 0; id < vocabulary_.pieces.size(); ++id) {
    const std::string_view whole = vocabulary_.pieces[id].text;
    const auto symbol = symbols.find(whole);
    if (symbol == symbols.end() || symbol->second != static_cast<int32_t>(id)) continue;
    for (size_t cut = 0; cut + 1 < whole.size();) {
      cut += read_utf8(whole, cut).bytes;
      const auto left = symbols.find(whole.substr(0, cut));
      if (cut >= whole.size() || left == symbols.end()) continue;
      const auto right = symbols.find(whole.substr(cut));
      if (right == symbols.end()) continue;
      merges_.add(left->second, right->second, {ranks[id], static_cast<int32_t>(id)});
    }
  }
}

std::string SentencePieceBpeTokenizer::normal_piece_bytes(TokenId id) const {
  return replace_space_marks(vocabulary_.pieces[static_cast<size_t>(id)].text);
}

void SentencePieceBpeTokenizer::encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                                                std::vector<TokenId>& ids) const {
  const SpaceRules rules{.prefix = wants_space_prefix(fragment),
                         .prefix_if_missing = vocabulary_.space_prefix_if_missing,
                         .remove_extra = vocabulary_.remove_extra_whitespaces};
  std::string text;
  if (normalizer_.active()) {
    append_with_space_marks(normalizer_.apply(fragment.text), rules, text);
  } else {
    append_with_space_marks(fragment.text, rules, text);
  }
  if (!pre_tokenizer_.cuts()) return encode_words(text, scratch, ids);
  pre_tokenizer_.split(text, scratch.regex,
                       [&](std::string_view part) { encode_words(part, scratch, ids); });
}

void SentencePieceBpeTokenizer::encode_words(std::string_view text, EncodeScratch& scratch,
                                             std::vector<TokenId>& ids) const {
  if (vocabulary_.ignore_merges || (newline_runs_are_whole_ && text.starts_with('\n'))) {
    if (const auto whole = find(text)) {
      ids.push_back(*whole);
      return;
    }
  }
  if (!words_are_apart_) return merge_word(text, scratch, ids);
  while (!text.empty()) {
    const size_t end = word_end(text);
    encode_word(text.substr(0, end), scratch, ids);
    text.remove_prefix(end);
  }
}

void SentencePieceBpeTokenizer::encode_word(std::string_view word, EncodeScratch& scratch,
                                            std::vector<TokenId>& ids) const {
  if (!scratch.use_cache) return merge_word(word, scratch, ids);
  if (const auto known = scratch.cache.get(word)) {
    ids.insert(ids.end(), known->begin(), known->end());
    return;
  }
  const size_t start = ids.size();
  merge_word(word, scratch, ids);
  scratch.cache.put(word, std::span(ids).subspan(start));
}

void SentencePieceBpeTokenizer::merge_word(std::string_view word, EncodeScratch& scratch,
                                           std::vector<TokenId>& ids) const {
  auto& symbols = scratch.symbols;
  symbols.clear();
  for (size_t at = 0; at < word.size();) {
    const Utf8Char c = read_utf8(word, at);
    const auto known = c.valid ? char_ids_.find(c.code) : char_ids_.end();
    symbols.push_back({known == char_ids_.end() ? -1 : known->second, static_cast<uint32_t>(at)});
    at += c.bytes;
  }
  scratch.merger.run(merges_, symbols);
  const size_t start = ids.size();
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].id >= 0 && symbols[i].id < size()) {
      ids.push_back(symbols[i].id);
      continue;
    }
    const size_t end = i + 1 < symbols.size() ? symbols[i + 1].offset : word.size();
    fallback_.append(word.substr(symbols[i].offset, end - symbols[i].offset), vocabulary_.unk,
                     start, ids);
  }
}

}  // namespace

TokenizerResult make_sentencepiece_bpe_tokenizer(Vocabulary vocabulary) {
  auto tokenizer = std::make_shared<SentencePieceBpeTokenizer>(std::move(vocabulary));
  TRY(tokenizer->build());
  return tokenizer;
}

}  // namespace neuros::text
