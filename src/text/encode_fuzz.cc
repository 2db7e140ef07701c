// Any bytes as text, for one small tokenizer of each kind. The first byte chooses the
// pre-tokenizer. Byte-level BPE must give the bytes back; a stream must say what decode says.

#include "base/check.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <array>
#include <map>
#include <string>

namespace {

using namespace neuros::text;
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

constexpr std::array kPreTokenizers = {"gpt-2",          "llama-bpe",  "qwen2",      "deepseek-llm",
                                       "deepseek-v3",    "tekken",     "gpt-4o",     "falcon",
                                       "starcoder",      "bloom",      "default",    "kimi-k2",
                                       "exaone-moe",     "chameleon",  "bailingmoe", "qwen35",
                                       "deepseek-coder", "seed-coder", "viking",     "minicpm5"};

TokenizerPtr create(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::create(std::move(vocabulary));
  CHECK(tokenizer.has_value());
  return *tokenizer;
}

TokenizerPtr make_byte_bpe(const char* pre) {
  Vocabulary v;
  v.pre = pre;
  v.merges_by_rank = true;
  for (int byte = 0; byte < 256; ++byte)
    v.pieces.push_back({.text = to_byte_alphabet(std::string(1, static_cast<char>(byte)))});
  for (const char* bytes : {"he", "ll", "hell", " t", "  ", "\n\n", "\xC3\xA9", "the"})
    v.pieces.push_back({.text = to_byte_alphabet(bytes)});
  v.pieces.push_back({.text = "<s>", .kind = PieceKind::kControl, .lstrip = true});
  return create(std::move(v));
}

TokenizerPtr make_sentencepiece(VocabularyKind kind) {
  Vocabulary v;
  v.kind = kind;
  v.pieces.push_back({.text = "<unk>", .kind = PieceKind::kUnknown});
  float score = 0;
  for (const char* text :
       {"\u2581", "h", "e", "l", "he", "ll", "\u2581he", "ell", "\u00E9", "\u2581\u2581"})
    v.pieces.push_back({.text = text, .score = score -= 1});
  v.pieces.push_back({.text = "<x>", .kind = PieceKind::kUserDefined, .rstrip = true});
  v.unk = 0;
  v.normalization = Normalization::kNfkc;
  return create(std::move(v));
}

TokenizerPtr make_word_piece() {
  Vocabulary v;
  v.kind = VocabularyKind::kWordPiece;
  v.pieces.push_back({.text = "[UNK]", .kind = PieceKind::kUnknown});
  for (const char* text : {"\u2581he", "l", "lo", "\u2581,"}) v.pieces.push_back({.text = text});
  v.unk = 0;
  v.lower_case = v.strip_accents = true;
  return create(std::move(v));
}

void check_stream(const TokenizerPtr& tokenizer, const std::vector<TokenId>& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  text += decoder.finish();
  CHECK(text == tokenizer->decode(ids));
  CHECK(valid_utf8_prefix(text) == text.size());
}

void check_byte_bpe(const char* pre, std::string_view text) {
  static std::map<std::string, TokenizerPtr> made;
  TokenizerPtr& tokenizer = made[pre];
  if (!tokenizer) tokenizer = make_byte_bpe(pre);
  const auto ids = tokenizer->encode(text, {.add_special = true, .parse_special = false});
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenizer->piece_bytes(id, true);
  CHECK(bytes == text);
  check_stream(tokenizer, ids);
  tokenizer->encode(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const TokenizerPtr others[] = {make_sentencepiece(VocabularyKind::kSentencePieceBpe),
                                        make_sentencepiece(VocabularyKind::kUnigram),
                                        make_word_piece()};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  check_byte_bpe(kPreTokenizers[data[0] % kPreTokenizers.size()], text);
  for (const TokenizerPtr& tokenizer : others) check_stream(tokenizer, tokenizer->encode(text));
  return 0;
}
