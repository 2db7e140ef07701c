#pragma once

/// What the four kinds of tokenizer share: special tokens, BOS and EOS, decoding. Internal to
/// text/.

#include "text/pair_merger.h"
#include "text/part_cache.h"
#include "text/regex.h"
#include "text/special_tokens.h"
#include "text/tokenizer.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::text {

/// The buffers of one call of encode().
struct EncodeScratch {
  RegexScratch regex;
  PairMerger merger;
  std::vector<Symbol> symbols;
  PartCache cache;
  bool use_cache = false;  ///< the text is long enough to repeat words
};

/// A stretch of text between special tokens.
struct Fragment {
  std::string_view text;  ///< not empty
  bool first = false;     ///< no special token of the text came before it
};

class PartitionedTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const final;
  std::string piece_bytes(TokenId id, bool show_special) const final;
  std::string decode(std::span<const TokenId> ids, bool show_special) const final;

 protected:
  explicit PartitionedTokenizer(Vocabulary vocabulary);

  virtual void encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                               std::vector<TokenId>& ids) const = 0;
  /// The bytes that a normal piece stands for.
  virtual std::string normal_piece_bytes(TokenId id) const = 0;

  bool wants_space_prefix(const Fragment& fragment) const;

 private:
  SpecialTokens specials_;
  bool spells_spaces_ = false;  // SentencePiece: U+2581 in user-defined pieces is a space, too
  std::vector<TokenId> begin_, end_;  // what add_special puts around a text
};

/// "<0x0A>" is 10; nullopt for any other text.
std::optional<unsigned char> parse_byte_piece(std::string_view text);

/// Ids of the 256 byte pieces (kind kByte); -1 where one is missing.
class ByteFallback {
 public:
  explicit ByteFallback(const Vocabulary& vocabulary);
  /// Appends what stands for bytes that no piece covers: their byte pieces, else `unk` unless the
  /// ids from `start` on already end with it, else nothing.
  void append(std::string_view bytes, std::optional<TokenId> unk, size_t start,
              std::vector<TokenId>& ids) const;
  bool complete() const { return complete_; }

 private:
  std::vector<TokenId> ids_;
  bool complete_ = false;
};

using TokenizerResult = base::Result<std::shared_ptr<const Tokenizer>>;

// One function per kind, each in the file of its name; the vocabulary has passed the common checks.
TokenizerResult make_byte_bpe_tokenizer(Vocabulary vocabulary);
TokenizerResult make_sentencepiece_bpe_tokenizer(Vocabulary vocabulary);
TokenizerResult make_unigram_tokenizer(Vocabulary vocabulary);
TokenizerResult make_word_piece_tokenizer(Vocabulary vocabulary);

}  // namespace neuros::text
