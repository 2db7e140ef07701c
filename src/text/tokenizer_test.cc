#include "text/tokenizer.h"

#include "text/byte_alphabet.h"
#include "text/unicode.h"

#include <random>

#include <gtest/gtest.h>

namespace neuros::text {
namespace {

using Ids = std::vector<TokenId>;

std::shared_ptr<const Tokenizer> make(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::create(std::move(vocabulary));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

std::string error_of(Vocabulary vocabulary) {
  const auto tokenizer = Tokenizer::create(std::move(vocabulary));
  EXPECT_FALSE(tokenizer.has_value());
  return tokenizer ? "" : tokenizer.error().message;
}

/// All single bytes (ids 0 to 255), a few merges, and special tokens from 260 on.
Vocabulary byte_vocabulary() {
  Vocabulary v;
  v.kind = VocabularyKind::kByteBpe;
  v.pre = "gpt-2";
  v.add_space_prefix = false;
  for (int byte = 0; byte < 256; ++byte)
    v.pieces.push_back({.text = to_byte_alphabet(std::string(1, static_cast<char>(byte)))});
  for (const char* text : {"he", "ll", "hell", "Ġt"}) v.pieces.push_back({.text = text});
  v.pieces.push_back({.text = "<|end|>", .kind = PieceKind::kControl});
  v.pieces.push_back(
      {.text = "<|mark|>", .kind = PieceKind::kUserDefined, .lstrip = true, .rstrip = true});
  v.merges = {"h e", "l l", "he ll", "Ġ t"};
  v.bos = v.eos = 260;
  v.end_of_generation = {260};
  return v;
}

std::string random_text(std::mt19937& random, bool valid) {
  std::string text;
  for (size_t size = random() % 60; text.size() < size;) {
    if (!valid && random() % 4 == 0) {
      text.push_back(static_cast<char>(random()));
    } else {
      const char32_t highs[] = {0x20, 0x7F, 0x7FF, 0xD7FF, 0x10FFFF};
      const char32_t code = random() % (highs[random() % 5] + 1);
      if (code < 0xD800 || code > 0xDFFF) append_utf8(code, text);
    }
  }
  return text;
}

TEST(ByteBpe, MergesWholeWordsAndSpecials) {
  const auto t = make(byte_vocabulary());
  EXPECT_EQ(t->encode("hello t"), (Ids{258, 'o', 259}));
  EXPECT_EQ(t->encode("he<|end|>"), (Ids{256, 260}));
  EXPECT_EQ(t->encode("<|end|>", {.add_special = true, .parse_special = false}).size(), 7u);
  EXPECT_EQ(t->encode("a  <|mark|> \n b"), (Ids{'a', 261, 'b'}));  // lstrip and rstrip
  EXPECT_EQ(t->encode("<|mark|>", {.add_special = true, .parse_special = false}), (Ids{261}));
  EXPECT_EQ(t->encode(""), Ids{});
  EXPECT_EQ(t->decode(Ids{256, 260, 261}), "he<|mark|>");
  EXPECT_EQ(t->decode(Ids{256, 260}, true), "he<|end|>");
  EXPECT_EQ(t->piece_bytes(-1, true) + t->piece_bytes(262, true), "");
  EXPECT_TRUE(t->ends_generation(260));
  EXPECT_FALSE(t->ends_generation(261) || t->ends_generation(-1) || t->ends_generation(999));
  EXPECT_EQ(t->find("<|end|>"), 260);
  EXPECT_EQ(t->find("nothing"), std::nullopt);
}

TEST(ByteBpe, BosAndEosAsTheVocabularySays) {
  Vocabulary v = byte_vocabulary();
  v.add_bos = v.add_eos = true;
  v.end_with = {261};
  const auto t = make(v);
  EXPECT_EQ(t->encode("he"), (Ids{260, 256, 261}));
  EXPECT_EQ(t->encode("he", {.add_special = false, .parse_special = true}), (Ids{256}));
}

TEST(ByteBpe, RanksInPlaceOfMerges) {
  Vocabulary v = byte_vocabulary();
  v.merges.clear();
  v.merges_by_rank = true;
  EXPECT_EQ(make(v)->encode("hello t"), (Ids{258, 'o', 259}));
  v.ignore_merges = true;
  v.pieces.push_back({.text = "zebra"});
  EXPECT_EQ(make(v)->encode("zebra"), (Ids{262}));
}

TEST(ByteBpe, AnyBytesRoundTrip) {
  const auto t = make(byte_vocabulary());
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = random_text(random, round % 2 == 0);
    const Ids ids = t->encode(text, {.add_special = false, .parse_special = false});
    std::string bytes;
    for (const TokenId id : ids) bytes += t->piece_bytes(id, false);
    ASSERT_EQ(bytes, text);
    ASSERT_EQ(t->decode(ids), replace_invalid_utf8(text));
  }
}

TEST(ByteBpe, AMegabyteWordIsNotQuadratic) {
  const auto t = make(byte_vocabulary());
  std::string text;
  std::mt19937 random(5);
  while (text.size() < (1 << 20)) text.push_back("hel"[random() % 3]);
  const Ids ids = t->encode(text);
  EXPECT_LT(ids.size(), text.size());
  EXPECT_EQ(t->decode(ids), text);
}

TEST(ByteBpe, CachedWordsGiveTheSameIds) {
  const auto t = make(byte_vocabulary());
  std::string text;
  Ids expected;
  for (int i = 0; i < 500; ++i) {
    const std::string word = " the" + std::to_string(i % 17) + "hell";
    text += word;
    const Ids ids = t->encode(word);
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(t->encode(text), expected);
}

TEST(StreamDecoder, CutsOnlyBetweenCharacters) {
  const auto t = make(byte_vocabulary());
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    const Ids ids = t->encode(random_text(random, round % 2 == 0));
    StreamDecoder decoder(t);
    std::string text;
    for (const TokenId id : ids) {
      const std::string part = decoder.push(id);
      ASSERT_EQ(valid_utf8_prefix(part), part.size());
      text += part;
    }
    text += decoder.finish();
    ASSERT_EQ(text, t->decode(ids));
  }
}

TEST(StreamDecoder, HoldsBackAnOpenCharacter) {
  const auto t = make(byte_vocabulary());
  StreamDecoder decoder(t);
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.push(0xA6), "");
  EXPECT_EQ(decoder.push(0x99), "\U0001F999");
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.push('a'), "\uFFFDa");
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

/// A SentencePiece vocabulary: unk, BOS, EOS, 256 byte pieces (3 to 258), then words.
Vocabulary sentencepiece_vocabulary(VocabularyKind kind) {
  Vocabulary v;
  v.kind = kind;
  v.pieces = {{.text = "<unk>", .kind = PieceKind::kUnknown},
              {.text = "<s>", .kind = PieceKind::kControl},
              {.text = "</s>", .kind = PieceKind::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[7];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    v.pieces.push_back({.text = text, .kind = PieceKind::kByte});
  }
  const std::pair<const char*, float> words[] = {
      {"\u2581", -4},  {"a", -5},           {"b", -6}, {"ab", -2},
      {"\u2581a", -3}, {"\u2581ab", -2.5f}, {"ba", -1}};
  for (const auto& [text, score] : words) v.pieces.push_back({.text = text, .score = score});
  v.unk = 0, v.bos = 1, v.eos = 2;
  return v;
}

TEST(SentencePieceBpe, MergesTheBestScoreFirst) {
  const auto t = make(sentencepiece_vocabulary(VocabularyKind::kSentencePieceBpe));
  // "ba" (-1) is better than "ab" (-2), which is better than U+2581 "a" (-3).
  EXPECT_EQ(t->encode("ab"), (Ids{264}));
  EXPECT_EQ(t->encode("aba"), (Ids{263, 265}));
  EXPECT_EQ(t->encode("ab ab"), (Ids{264, 264}));
  EXPECT_EQ(t->decode(Ids{264, 264}), "ab ab");
  EXPECT_EQ(t->encode("\u00E9"), (Ids{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(t->encode("\xFF"), (Ids{259, 3 + 0xFF}));
  EXPECT_EQ(t->encode("a</s>b"), (Ids{263, 2, 259, 261}));
  EXPECT_EQ(t->decode(Ids{1, 264}), "ab");
  EXPECT_EQ(t->decode(Ids{1, 264}, true), "<s> ab");
}

TEST(SentencePieceBpe, SpacePrefixRules) {
  Vocabulary v = sentencepiece_vocabulary(VocabularyKind::kSentencePieceBpe);
  v.space_prefix_first_only = v.space_prefix_if_missing = true;
  EXPECT_EQ(make(v)->encode(" ab</s>ab"), (Ids{264, 2, 262}));
  v.add_space_prefix = false;
  EXPECT_EQ(make(v)->encode("ab"), (Ids{262}));
  EXPECT_EQ(make(v)->decode(Ids{264}), " ab");
}

TEST(SentencePieceBpe, ListedMergesDecideInPlaceOfScores) {
  Vocabulary v = sentencepiece_vocabulary(VocabularyKind::kSentencePieceBpe);
  v.merges = {"\u2581 a", "a b", "b a"};
  EXPECT_EQ(make(v)->encode("aba"), (Ids{263, 265}));
  v.merges = {"a b", "\u2581 ab"};
  EXPECT_EQ(make(v)->encode("aba"), (Ids{264, 260}));
  v.merges = {"a x"};
  EXPECT_NE(error_of(v).find("merge 0 'a x'"), std::string::npos);
}

TEST(SentencePieceBpe, UnknownCharactersWithoutBytePieces) {
  Vocabulary v = sentencepiece_vocabulary(VocabularyKind::kSentencePieceBpe);
  for (Piece& piece : v.pieces)
    if (piece.kind == PieceKind::kByte) piece.kind = PieceKind::kUnused;
  EXPECT_EQ(make(v)->encode("ab\u00E9\u00E9"), (Ids{264, 0}));  // neighbours become one
}

TEST(Unigram, TakesTheBestSum) {
  const auto t = make(sentencepiece_vocabulary(VocabularyKind::kUnigram));
  EXPECT_EQ(t->encode("ab"), (Ids{264}));        // -2.5 against -3 - 6 and -4 - 2
  EXPECT_EQ(t->encode("aba"), (Ids{263, 265}));  // -3 - 1 against -2.5 - 5
  EXPECT_EQ(t->encode("ab ab"), (Ids{264, 264}));
  EXPECT_EQ(t->encode("\u00E9"), (Ids{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(t->encode(""), Ids{});
}

TEST(Unigram, ExtraSpacesAndUnknowns) {
  Vocabulary v = sentencepiece_vocabulary(VocabularyKind::kUnigram);
  v.remove_extra_whitespaces = true;
  v.add_eos = true;
  for (Piece& piece : v.pieces)
    if (piece.kind == PieceKind::kByte) piece.kind = PieceKind::kUnused;
  const auto t = make(v);
  EXPECT_EQ(t->encode("  ab   ab  "), (Ids{264, 264, 2}));
  EXPECT_EQ(t->encode("ab\u00E9\u00E9ab"), (Ids{264, 0, 262, 2}));
  EXPECT_EQ(t->encode("   "), (Ids{2}));
}

TEST(Unigram, AnythingBecomesIds) {
  const auto t = make(sentencepiece_vocabulary(VocabularyKind::kUnigram));
  std::mt19937 random(13);
  for (int round = 0; round < 500; ++round) {
    const std::string text = random_text(random, false);
    const Ids ids = t->encode(text, {.add_special = false, .parse_special = false});
    if (text.find("\u2581") == std::string::npos) {
      ASSERT_EQ(t->decode(ids), replace_invalid_utf8(text));
    }
  }
}

TEST(StreamDecoder, TheDummyPrefixIsNoText) {
  const auto t = make(sentencepiece_vocabulary(VocabularyKind::kSentencePieceBpe));
  StreamDecoder text(t);
  EXPECT_EQ(text.push(1), "");
  EXPECT_EQ(text.push(264), "ab");
  EXPECT_EQ(text.push(264), " ab");
  StreamDecoder answer(t, false, StreamStart::kContinuation);
  EXPECT_EQ(answer.push(264), " ab");
}

Vocabulary word_vocabulary() {
  Vocabulary v;
  v.kind = VocabularyKind::kWordPiece;
  for (const char* text : {"[UNK]", "[CLS]", "[SEP]"})
    v.pieces.push_back({.text = text, .kind = PieceKind::kControl});
  for (const char* text : {"\u2581un", "able", "\u2581able", "\u2581,", "\u2581\u5DE5", "\u2581e"})
    v.pieces.push_back({.text = text});
  v.unk = 0, v.cls = 1, v.sep = 2;
  v.add_bos = v.add_eos = v.lower_case = v.strip_accents = true;
  return v;
}

TEST(WordPiece, LongestPiecesFromTheLeft) {
  const auto t = make(word_vocabulary());
  EXPECT_EQ(t->encode("Unable, ABLE"), (Ids{1, 3, 4, 6, 5, 2}));
  EXPECT_EQ(t->encode("\u5DE5\u5DE5 unx"), (Ids{1, 7, 7, 0, 2}));
  EXPECT_EQ(t->encode("\u00C9 e\u0301\u200D"), (Ids{1, 8, 8, 2}));
  EXPECT_EQ(t->encode("[SEP]", {.add_special = false, .parse_special = true}), (Ids{2}));
  EXPECT_EQ(t->decode(t->encode("unable, able")), "unable , able");
  Vocabulary v = word_vocabulary();
  v.word_chars_max = 5;
  EXPECT_EQ(make(v)->encode("unable able"), (Ids{1, 0, 5, 2}));
}

TEST(Tokenizer, RefusesBrokenVocabularies) {
  EXPECT_NE(error_of({}).find("no pieces"), std::string::npos);
  Vocabulary v = byte_vocabulary();
  v.pre = "no-such";
  EXPECT_NE(error_of(v).find("no-such"), std::string::npos);
  v = byte_vocabulary();
  v.merges.push_back("h zz");
  EXPECT_NE(error_of(v).find("merge 4 'h zz'"), std::string::npos);
  v.merges.back() = "hh";
  EXPECT_NE(error_of(v).find("no two parts"), std::string::npos);
  v = byte_vocabulary();
  v.eos = 4000;
  EXPECT_NE(error_of(v).find("eos id 4000"), std::string::npos);
  v = byte_vocabulary();
  v.end_of_generation = {-5};
  EXPECT_NE(error_of(v).find("-5"), std::string::npos);
  v = byte_vocabulary();
  v.bos.reset();
  v.add_bos = true;
  EXPECT_NE(error_of(v).find("no bos id"), std::string::npos);
  v = byte_vocabulary();
  v.pieces[3].text = std::string(100000, 'a');
  EXPECT_NE(error_of(v).find("piece 3: 100000 bytes"), std::string::npos);
  v = byte_vocabulary();
  v.pieces[3].score = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(error_of(v).find("piece 3"), std::string::npos);
  v = byte_vocabulary();
  v.charsmap = "\xFF\xFF";
  EXPECT_NE(error_of(v).find("charsmap"), std::string::npos);
}

}  // namespace
}  // namespace neuros::text
