#pragma once

/// Text to token ids and back. One `Tokenizer` serves any number of threads: it is immutable.

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::text {

using TokenId = int32_t;

/// The field's five vocabulary families. kUnigram and kSentencePieceBpe both come from
/// SentencePiece; they differ in how pieces are merged.
enum class VocabularyKind { kSentencePieceBpe, kUnigram, kByteBpe, kWordPiece };

/// Kinds of piece, numbered as in SentencePiece and GGUF `tokenizer.ggml.token_type`.
enum class PieceKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Piece {
  std::string text;
  float score = 0.0f;
  PieceKind kind = PieceKind::kNormal;
  bool lstrip = false;  ///< an added token that swallows white space before it
  bool rstrip = false;  ///< ... after it
};

/// Unicode normalisation (UAX #15) of a text before it is cut into tokens.
enum class Normalization : uint8_t { kNone, kNfc, kNfd, kNfkc, kNfkd };

/// What happens to the matches of a SplitStep; named as in Hugging Face tokenizers.
enum class SplitBehaviour : uint8_t {
  kIsolated,            ///< every match and every gap is a part
  kRemoved,             ///< matches are thrown away
  kMergedWithPrevious,  ///< a match ends the part before it
  kMergedWithNext,      ///< a match starts the part after it
  kContiguous,          ///< adjacent matches are one part
};

/// One step of a pre-tokenizer: it cuts each part that the step before left.
struct SplitStep {
  std::string pattern;  ///< PCRE2 syntax with UTF and UCP on
  SplitBehaviour behaviour = SplitBehaviour::kIsolated;
  bool invert = false;  ///< the gaps count as matches and the matches as gaps
};

/// Everything a tokenizer needs, whichever file it came from.
///
/// Piece texts by kind: kByteBpe keeps normal pieces in GPT-2's printable byte alphabet
/// ("\u0120the") and all others as plain text; the SentencePiece kinds write a space as U+2581 in
/// normal pieces; kWordPiece marks the start of a word with U+2581 and leaves continuations bare
/// (as GGUF does).
struct Vocabulary {
  VocabularyKind kind = VocabularyKind::kByteBpe;
  /// Pre-tokenizer of kByteBpe: "gpt-2", "llama-bpe", "qwen2", "deepseek-llm", ... (GGUF names); ""
  /// is "default", "none" cuts nothing.
  std::string pre;
  std::vector<SplitStep> pre_steps;  ///< used in place of `pre` when not empty
  std::vector<Piece> pieces;         ///< by id
  std::vector<std::string> merges;   ///< "left right", best first (byte-level BPE)
  std::optional<TokenId> bos, eos, unk, pad, eot, sep, cls, mask;
  std::vector<TokenId> end_of_generation;  ///< every id that ends an answer, eos included
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = true;  ///< SentencePiece's dummy prefix
  bool remove_extra_whitespaces = false;
  bool ignore_merges = false;  ///< a whole pre-token found in the vocabulary is taken as is
  /// No list of merges: neighbours merge if together they are a piece, lowest id first (tiktoken).
  bool merges_by_rank = false;
  /// The dummy prefix only before the first text, not after each special token.
  bool space_prefix_first_only = false;
  /// No dummy prefix where the text starts with a space. kByteBpe adds a prefix only with this set.
  bool space_prefix_if_missing = false;
  Normalization normalization = Normalization::kNone;
  std::string charsmap;  ///< SentencePiece's precompiled_charsmap; empty: none
  bool lower_case = false;
  bool strip_accents = false;  ///< removes combining marks after NFD
  int32_t word_chars_max = 0;  ///< kWordPiece: a longer word is unknown; 0: no limit
  /// What add_bos and add_eos put around a text; empty: bos and eos (kWordPiece: cls and sep).
  std::vector<TokenId> begin_with, end_with;
  std::string chat_template;  ///< empty if the file has none
};

struct EncodeOptions {
  bool add_special = true;    ///< BOS/EOS (or CLS/SEP) as the vocabulary says
  bool parse_special = true;  ///< "<|im_end|>" in the text becomes its control token
};

class Tokenizer {
 public:
  /// Checks the vocabulary (sizes, merges that name unknown pieces, unknown `pre`) and builds the
  /// tables.
  static base::Result<std::shared_ptr<const Tokenizer>> create(Vocabulary vocabulary);

  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  virtual ~Tokenizer();

  /// Never fails: what the vocabulary lacks becomes byte pieces, unk, or nothing. At most 1 GiB of
  /// text.
  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const = 0;
  std::vector<TokenId> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }

  /// The bytes of one token (may be part of a UTF-8 character). Control tokens give "" unless
  /// `show_special`; ids outside the vocabulary give "".
  virtual std::string piece_bytes(TokenId id, bool show_special) const = 0;

  /// Whole text of a sequence: special tokens left out, SentencePiece's dummy prefix removed.
  /// Always valid UTF-8: bytes that are not become U+FFFD.
  virtual std::string decode(std::span<const TokenId> ids, bool show_special = false) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  int32_t size() const { return static_cast<int32_t>(vocabulary_.pieces.size()); }
  bool ends_generation(TokenId id) const;
  /// The id of a piece by its text as Vocabulary writes it; the lowest where a text occurs twice.
  std::optional<TokenId> find(std::string_view piece) const;
  /// Whether decoding drops one space at the start of a text (the dummy prefix).
  bool drops_first_space() const;

 protected:
  explicit Tokenizer(Vocabulary vocabulary);
  Vocabulary vocabulary_;

 private:
  struct Index;
  std::shared_ptr<const Index> index_;
};

/// Where a decoded stream stands: at the start of a text, whose dummy prefix is not shown, or after
/// text that was already there (an answer after its prompt), where every space counts.
enum class StreamStart : uint8_t { kText, kContinuation };

/// Turns a stream of ids into text pieces that never end inside a UTF-8 character. From kText, the
/// pieces and finish() together are what Tokenizer::decode gives for all ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool show_special = false,
                         StreamStart start = StreamStart::kText);
  /// Text that became complete with this token; "" while a character is still open.
  std::string push(TokenId id);
  /// What is left at the end; an unfinished character becomes U+FFFD.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool show_special_;
  bool at_start_;
  std::string pending_;
};

}  // namespace neuros::text
