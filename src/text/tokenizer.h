#pragma once

/// Text to token ids and back. One `Tokenizer` serves any number of threads: it is immutable.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace neuros::text {

using TokenId = int32_t;

/// The field's five vocabulary families. kUnigram and kSentencePieceBpe both come from
/// SentencePiece; they differ in how pieces are merged.
enum class VocabularyKind { kSentencePieceBpe, kUnigram, kByteBpe, kWordPiece };

/// Kinds of piece, numbered as in SentencePiece and GGUF `tokenizer.ggml.token_type`.
enum class PieceKind : uint8_t {
  kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6,
};

struct Piece {
  std::string text;
  float score = 0.0f;
  PieceKind kind = PieceKind::kNormal;
  bool lstrip = false;  ///< an added token that swallows white space before it
  bool rstrip = false;  ///< ... after it
};

/// Everything a tokenizer needs, whichever file it came from.
struct Vocabulary {
  VocabularyKind kind = VocabularyKind::kByteBpe;
  std::string pre;  ///< pre-tokenizer: "gpt-2", "llama-bpe", "qwen2", "deepseek-llm", ... (GGUF names)
  std::vector<Piece> pieces;          ///< by id
  std::vector<std::string> merges;    ///< "left right", best first (byte-level BPE)
  std::optional<TokenId> bos, eos, unk, pad, eot, sep, cls, mask;
  std::vector<TokenId> end_of_generation;  ///< every id that ends an answer, eos included
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = true;       ///< SentencePiece's dummy prefix
  bool remove_extra_whitespaces = false;
  bool ignore_merges = false;         ///< a whole pre-token found in the vocabulary is taken as is
  std::string chat_template;          ///< empty if the file has none
};

struct EncodeOptions {
  bool add_special = true;     ///< BOS/EOS (or CLS/SEP) as the vocabulary says
  bool parse_special = true;   ///< "<|im_end|>" in the text becomes its control token
};

class Tokenizer {
 public:
  /// Checks the vocabulary (sizes, merges that name unknown pieces, unknown `pre`) and builds the tables.
  static base::Result<std::shared_ptr<const Tokenizer>> create(Vocabulary vocabulary);

  virtual ~Tokenizer() = default;

  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const = 0;
  std::vector<TokenId> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }

  /// The bytes of one token (may be part of a UTF-8 character). Control tokens give "" unless
  /// `show_special`; ids outside the vocabulary give "".
  virtual std::string piece_bytes(TokenId id, bool show_special) const = 0;

  /// Whole text of a sequence: special tokens left out, SentencePiece's dummy prefix removed.
  virtual std::string decode(std::span<const TokenId> ids, bool show_special = false) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  int32_t size() const { return static_cast<int32_t>(vocabulary_.pieces.size()); }
  bool ends_generation(TokenId id) const;
  std::optional<TokenId> find(std::string_view piece) const;

 protected:
  explicit Tokenizer(Vocabulary vocabulary);
  Vocabulary vocabulary_;

 private:
  struct Index;
  std::shared_ptr<const Index> index_;
};

/// Turns a stream of ids into text pieces that never end inside a UTF-8 character.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool show_special = false);
  /// Text that became complete with this token; "" while a character is still open.
  std::string push(TokenId id);
  /// What is left at the end; an unfinished character becomes U+FFFD.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool show_special_;
  bool at_start_ = true;
  std::string pending_;
};

}  // namespace neuros::text
