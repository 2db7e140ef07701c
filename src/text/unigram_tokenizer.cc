#include "text/partitioned_tokenizer.h"
#include "text/pre_tokenizer.h"
#include "text/text_normalizer.h"
#include "text/trie.h"
#include "text/unicode.h"

#include <algorithm>
#include <limits>

namespace neuros::text {
namespace {

constexpr double kUnknownPenalty = 10.0;  // SentencePiece's kUnkPenalty

/// SentencePiece's unigram model (T5, XLM-R): of all ways to cut a text into pieces the one with
/// the highest sum of scores (Viterbi).
class UnigramTokenizer final : public PartitionedTokenizer {
 public:
  explicit UnigramTokenizer(Vocabulary vocabulary)
      : PartitionedTokenizer(std::move(vocabulary)), fallback_(vocabulary_) {}

  base::Result<> build();

 protected:
  void encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                       std::vector<TokenId>& ids) const override;
  std::string normal_piece_bytes(TokenId id) const override {
    return replace_space_marks(vocabulary_.pieces[static_cast<size_t>(id)].text);
  }

 private:
  /// The best way to reach one offset of the text.
  struct Arrival {
    double score = -std::numeric_limits<double>::infinity();
    uint32_t from = 0;
    int32_t piece = kUnknown;
  };
  static constexpr int32_t kUnknown = -1;

  double score_of(int32_t piece) const;
  void encode_part(std::string_view text, std::vector<TokenId>& ids) const;
  void extend(std::string_view text, size_t offset, std::vector<Arrival>& arrivals) const;

  PreTokenizer pre_tokenizer_;
  TextNormalizer normalizer_;
  ByteFallback fallback_;
  Trie pieces_;
  double unknown_score_ = 0;
};

base::Result<> UnigramTokenizer::build() {
  pre_tokenizer_ = TRY(PreTokenizer::create(vocabulary_.pre_steps));
  normalizer_ = TRY(TextNormalizer::create(vocabulary_));
  std::vector<Trie::Entry> entries;
  double worst = 0;
  for (size_t id = 0; id < vocabulary_.pieces.size(); ++id) {
    const Piece& piece = vocabulary_.pieces[id];
    const bool takes_part = piece.kind == PieceKind::kNormal || piece.kind == PieceKind::kUnused ||
                            piece.kind == PieceKind::kUserDefined;
    if (!takes_part || piece.text.empty()) continue;
    entries.push_back({piece.text, static_cast<int32_t>(id)});
    if (piece.kind == PieceKind::kNormal) worst = std::min(worst, double{piece.score});
  }
  pieces_ = Trie(entries);
  unknown_score_ = worst - kUnknownPenalty;
  return {};
}

double UnigramTokenizer::score_of(int32_t piece) const {
  const Piece& p = vocabulary_.pieces[static_cast<size_t>(piece)];
  return p.kind == PieceKind::kUserDefined ? 0.0 : double{p.score};
}

void UnigramTokenizer::extend(std::string_view text, size_t offset,
                              std::vector<Arrival>& arrivals) const {
  const double score = arrivals[offset].score;
  const auto arrive = [&](size_t end, double total, int32_t piece) {
    if (total > arrivals[end].score) arrivals[end] = {total, static_cast<uint32_t>(offset), piece};
  };
  const size_t char_end = offset + read_utf8(text, offset).bytes;
  bool char_covered = false;
  auto node = pieces_.root();
  for (size_t end = offset + 1; end <= text.size(); ++end) {
    const auto next = pieces_.child(node, text[end - 1]);
    if (!next) break;
    node = *next;
    const int32_t piece = pieces_.value(node);
    if (piece == Trie::kNoValue) continue;
    char_covered = char_covered || end == char_end;
    arrive(end, score + score_of(piece), piece);
  }
  if (!char_covered) arrive(char_end, score + unknown_score_, kUnknown);
}

void UnigramTokenizer::encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                                       std::vector<TokenId>& ids) const {
  const SpaceRules rules{.prefix = wants_space_prefix(fragment),
                         .prefix_if_missing = vocabulary_.space_prefix_if_missing,
                         .remove_extra = vocabulary_.remove_extra_whitespaces};
  std::string text;
  append_with_space_marks(
      normalizer_.active() ? normalizer_.apply(fragment.text) : std::string(fragment.text), rules,
      text);
  pre_tokenizer_.split(text, scratch.regex, [&](std::string_view part) { encode_part(part, ids); });
}

void UnigramTokenizer::encode_part(std::string_view text, std::vector<TokenId>& ids) const {
  std::vector<Arrival> arrivals(text.size() + 1);
  arrivals[0].score = 0;
  for (size_t offset = 0; offset < text.size(); offset += read_utf8(text, offset).bytes)
    extend(text, offset, arrivals);
  std::vector<size_t> ends;  // of the pieces on the best way, last first
  for (size_t end = text.size(); end > 0; end = arrivals[end].from) ends.push_back(end);
  const size_t start = ids.size();
  for (size_t i = ends.size(); i-- > 0;) {
    const Arrival& arrival = arrivals[ends[i]];
    if (arrival.piece != kUnknown) {
      ids.push_back(arrival.piece);
    } else {
      fallback_.append(text.substr(arrival.from, ends[i] - arrival.from), vocabulary_.unk, start,
                       ids);
    }
  }
}

}  // namespace

TokenizerResult make_unigram_tokenizer(Vocabulary vocabulary) {
  auto tokenizer = std::make_shared<UnigramTokenizer>(std::move(vocabulary));
  TRY(tokenizer->build());
  return tokenizer;
}

}  // namespace neuros::text
