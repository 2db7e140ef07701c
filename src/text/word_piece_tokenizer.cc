#include "text/partitioned_tokenizer.h"
#include "text/text_normalizer.h"
#include "text/trie.h"
#include "text/unicode.h"

namespace neuros::text {
namespace {

/// BERT's tokenizer: words at white space, punctuation and ideographs; each word the longest pieces
/// from the left, or unknown as a whole.
class WordPieceTokenizer final : public PartitionedTokenizer {
 public:
  explicit WordPieceTokenizer(Vocabulary vocabulary)
      : PartitionedTokenizer(std::move(vocabulary)) {}

  base::Result<> build();

 protected:
  void encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                       std::vector<TokenId>& ids) const override;
  std::string normal_piece_bytes(TokenId id) const override {
    return replace_space_marks(vocabulary_.pieces[static_cast<size_t>(id)].text);
  }

 private:
  /// `word` begins with a space mark, `chars` counts what follows it. Clears `word`.
  void encode_word(std::string& word, int32_t& chars, std::vector<TokenId>& ids) const;

  TextNormalizer normalizer_;
  Trie pieces_;
};

base::Result<> WordPieceTokenizer::build() {
  normalizer_ = TRY(TextNormalizer::create(vocabulary_));
  std::vector<Trie::Entry> entries;
  for (size_t id = 0; id < vocabulary_.pieces.size(); ++id)
    if (!vocabulary_.pieces[id].text.empty())
      entries.push_back({vocabulary_.pieces[id].text, static_cast<int32_t>(id)});
  pieces_ = Trie(entries);
  return {};
}

void WordPieceTokenizer::encode_fragment(const Fragment& fragment, EncodeScratch&,
                                         std::vector<TokenId>& ids) const {
  std::string changed;
  std::string_view text = fragment.text;
  if (normalizer_.active()) text = changed = normalizer_.apply(text);
  std::string word(kSpaceMark);
  int32_t chars = 0;
  for (size_t offset = 0; offset < text.size();) {
    const Utf8Char c = read_utf8(text, offset);
    const std::string_view bytes = text.substr(offset, c.bytes);
    offset += c.bytes;
    if (c.valid && is_white_space(c.code)) {
      encode_word(word, chars, ids);
      continue;
    }
    if (!c.valid || c.code == 0xFFFD || is_other(c.code)) continue;
    const bool alone = is_punctuation(c.code) || is_cjk_ideograph(c.code);
    if (alone) encode_word(word, chars, ids);
    word.append(bytes);
    ++chars;
    if (alone) encode_word(word, chars, ids);
  }
  encode_word(word, chars, ids);
}

void WordPieceTokenizer::encode_word(std::string& word, int32_t& chars,
                                     std::vector<TokenId>& ids) const {
  if (chars == 0) return;
  const size_t start = ids.size();
  const bool too_long = vocabulary_.word_chars_max > 0 && chars > vocabulary_.word_chars_max;
  size_t offset = 0;
  while (!too_long && offset < word.size()) {
    const Trie::Match match = pieces_.longest(word, offset);
    if (match.bytes == 0) break;
    ids.push_back(match.value);
    offset += match.bytes;
  }
  if (offset < word.size()) {
    ids.resize(start);
    if (vocabulary_.unk) ids.push_back(*vocabulary_.unk);
  }
  word = kSpaceMark;
  chars = 0;
}

}  // namespace

TokenizerResult make_word_piece_tokenizer(Vocabulary vocabulary) {
  auto tokenizer = std::make_shared<WordPieceTokenizer>(std::move(vocabulary));
  TRY(tokenizer->build());
  return tokenizer;
}

}  // namespace neuros::text
