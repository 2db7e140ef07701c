// The loaders on small files: what they take over, and what they refuse.

#include "text/charsmap.h"
#include "text/end_of_generation.h"
#include "text/testing/sentencepiece_writer.h"
#include "text/vocabulary_directory.h"
#include "text/vocabulary_gguf.h"
#include "text/vocabulary_hf_json.h"
#include "text/vocabulary_sentencepiece.h"
#include "text/vocabulary_tiktoken.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::text {
namespace {

using nlohmann::json;
using Ids = std::vector<TokenId>;

std::shared_ptr<const Tokenizer> make(base::Result<Vocabulary> vocabulary) {
  EXPECT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  if (!vocabulary) return nullptr;
  auto tokenizer = Tokenizer::create(std::move(*vocabulary));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

std::shared_ptr<const Tokenizer> from_json(const json& document, std::string_view config = {}) {
  const std::string text = document.dump();
  return make(vocabulary_from_hf({.tokenizer_json = text, .tokenizer_config = config}));
}

std::string error_of(const json& document) {
  const std::string text = document.dump();
  const auto vocabulary = vocabulary_from_hf({.tokenizer_json = text});
  EXPECT_FALSE(vocabulary.has_value());
  return vocabulary ? "" : vocabulary.error().message;
}

json byte_level_document() {
  return json::parse(R"({
    "added_tokens": [
      {"id": 7, "content": "<|eot_id|>", "special": true},
      {"id": 8, "content": "<m>", "special": false, "lstrip": true, "rstrip": true},
      {"id": 9, "content": "<bos>", "special": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\d"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
    "decoder": {"type": "ByteLevel"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
      "special_tokens": {"<bos>": {"id": "<bos>", "ids": [9], "tokens": ["<bos>"]}}},
    "model": {"type": "BPE", "ignore_merges": false,
      "vocab": {"a": 0, "1": 1, "aa": 2, "a1": 3, "Ã": 4, "©": 5, "Ã©": 6},
      "merges": [["a", "1"], ["a", "a"], "Ã ©"]}})");
}

TEST(HfJson, ByteLevelWithItsOwnRegex) {
  const auto t = from_json(byte_level_document(), R"({"eos_token": "<|eot_id|>"})");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->encode("aa1"), (Ids{9, 2, 1}));   // the digit stands alone
  EXPECT_EQ(t->encode("e\u0301"), (Ids{9, 6}));  // NFC makes one letter of it
  EXPECT_EQ(t->encode("a <m> a<|eot_id|>"), (Ids{9, 0, 8, 0, 7}));
  EXPECT_EQ(t->vocabulary().eot, 7);
  EXPECT_TRUE(t->ends_generation(7));
  EXPECT_EQ(t->vocabulary().pre, "");
}

TEST(HfJson, ConfigDecidesAboutBosAndEos) {
  const auto without = from_json(byte_level_document(), R"({"add_bos_token": false})");
  EXPECT_EQ(without->encode("a"), (Ids{0}));
  const auto with = from_json(byte_level_document(),
                              R"({"eos_token": {"content": "<|eot_id|>"}, "add_eos_token": true})");
  EXPECT_EQ(with->encode("a"), (Ids{9, 0, 7}));
}

TEST(HfJson, SeveralTokensInFront) {
  json document = byte_level_document();
  json& single = document["post_processor"]["single"];
  single.insert(single.begin() + 1, json::parse(R"({"SpecialToken": {"id": "<m>"}})"));
  EXPECT_EQ(from_json(document)->encode("a"), (Ids{9, 8, 0}));
  single[1]["SpecialToken"]["id"] = "<none>";
  EXPECT_NE(error_of(document).find("unknown token"), std::string::npos);
}

TEST(HfJson, ChatTemplatesAndGenerationConfig) {
  const std::string text = byte_level_document().dump();
  const auto v = vocabulary_from_hf(
      {.tokenizer_json = text,
       .tokenizer_config = R"({"chat_template": [{"name": "rag", "template": "r"},
                                                 {"name": "default", "template": "d"}]})",
       .generation_config = R"({"eos_token_id": [8, 7]})"});
  ASSERT_TRUE(v.has_value());
  EXPECT_EQ(v->chat_template, "d");
  EXPECT_EQ(v->end_of_generation, (Ids{7, 8}));
  const auto file = vocabulary_from_hf({.tokenizer_json = text,
                                        .tokenizer_config = R"({"chat_template": "c"})",
                                        .chat_template = "f"});
  EXPECT_EQ(file->chat_template, "f");
}

TEST(HfJson, Unigram) {
  const auto t = from_json(json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
    "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
    "model": {"type": "Unigram", "unk_id": 0,
      "vocab": [["<unk>", 0.0], ["▁a", -1.0], ["▁", -2.0], ["a", -2.5], ["▁b", -3.0], ["▁a▁b", -0.1]]}})"));
  ASSERT_TRUE(t);
  EXPECT_EQ(t->vocabulary().kind, VocabularyKind::kUnigram);
  EXPECT_EQ(t->encode("a   b"), (Ids{1, 4}));  // Metaspace cuts, so no piece spans words
  EXPECT_EQ(t->encode("zz"), (Ids{2, 0}));
}

TEST(HfJson, CharactersWithByteFallback) {
  json document = json::parse(R"({
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},
    "added_tokens": [{"id": 5, "content": "▁▁", "special": false}],
    "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
      "vocab": {"<unk>": 0, "▁": 1, "a": 2, "▁a": 3, "<0xFF>": 4, "▁▁": 5},
      "merges": ["▁ ▁", "▁ a"]}})");
  const auto t = from_json(document);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->vocabulary().kind, VocabularyKind::kSentencePieceBpe);
  EXPECT_EQ(t->encode(" a   a"), (Ids{3, 5, 3}));
  EXPECT_EQ(t->encode("\xFF"), (Ids{4}));
  EXPECT_EQ(t->encode("z"), (Ids{0}));
  EXPECT_EQ(t->decode(Ids{3, 5, 3}), " a   a");
  document.erase("normalizer");
  EXPECT_NE(error_of(document).find("keeps spaces"), std::string::npos);
}

TEST(HfJson, RefusesWhatItCannotDo) {
  EXPECT_FALSE(vocabulary_from_hf({.tokenizer_json = "{"}).has_value());
  EXPECT_FALSE(vocabulary_from_hf({.tokenizer_json = "[]"}).has_value());
  EXPECT_FALSE(vocabulary_from_hf({}).has_value());
  json document = byte_level_document();
  document["normalizer"] = {{"type", "Nmt"}};
  EXPECT_NE(error_of(document).find("normalizer Nmt is not supported"), std::string::npos);
  document = byte_level_document();
  document["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
  EXPECT_NE(error_of(document).find("UnicodeScripts"), std::string::npos);
  document = byte_level_document();
  document["model"]["vocab"]["far"] = 2000000000;
  EXPECT_NE(error_of(document).find("far beyond"), std::string::npos);
  document["model"]["vocab"]["far"] = -1;
  EXPECT_NE(error_of(document).find("'far'"), std::string::npos);
  document = byte_level_document();
  document["added_tokens"][0]["id"] = 1999999999;
  EXPECT_NE(error_of(document).find("far beyond"), std::string::npos);
  document = byte_level_document();
  document["model"]["merges"][0] = 5;
  EXPECT_NE(error_of(document).find("merges[0]"), std::string::npos);
  document = byte_level_document();
  document["model"]["end_of_word_suffix"] = "</w>";
  EXPECT_NE(error_of(document).find("end_of_word_suffix"), std::string::npos);
  document = byte_level_document();
  document["model"]["type"] = "WordLevel";
  EXPECT_NE(error_of(document).find("WordLevel"), std::string::npos);
}

TEST(SentencePieceFile, UnigramWithUserDefinedPieces) {
  const std::vector<Piece> pieces = {{.text = "<unk>", .kind = PieceKind::kUnknown},
                                     {.text = "<s>", .kind = PieceKind::kControl},
                                     {.text = "</s>", .kind = PieceKind::kControl},
                                     {.text = "\u2581a", .score = -1},
                                     {.text = "\u2581", .score = -2},
                                     {.text = "[x]", .kind = PieceKind::kUserDefined}};
  const std::string bytes = write_sentencepiece(pieces, {});
  const auto t = make(vocabulary_from_sentencepiece(bytes));
  ASSERT_TRUE(t);
  EXPECT_EQ(t->vocabulary().kind, VocabularyKind::kUnigram);
  EXPECT_EQ(t->vocabulary().pad, std::nullopt);
  EXPECT_EQ(t->encode(" a  a[x]"), (Ids{3, 3, 5, 2}));
  EXPECT_EQ(t->decode(t->encode("a a")), "a a");
}

TEST(SentencePieceFile, CutOffAnywhereItFailsOrLoads) {
  const std::string bytes =
      write_sentencepiece({{.text = "<unk>", .kind = PieceKind::kUnknown}, {.text = "a"}}, {});
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto v = vocabulary_from_sentencepiece(std::string_view(bytes).substr(0, size));
    if (v) {
      EXPECT_FALSE(v->pieces.empty());
    }
  }
  EXPECT_FALSE(vocabulary_from_sentencepiece("").has_value());
  EXPECT_FALSE(vocabulary_from_sentencepiece("\x0A\x7F").has_value());
  EXPECT_FALSE(
      vocabulary_from_sentencepiece(write_sentencepiece({{.text = "a"}}, {.model_type = 3}))
          .has_value());
}

/// A charsmap whose trie knows one key: "A", replaced with "a".
std::string lower_a_charsmap() {
  std::vector<uint32_t> units(512, 0);
  units[0] = 256u << 10;                        // children of the root: 256 ^ byte
  units[256 ^ 'A'] = 3u << 10 | 1u << 8 | 'A';  // ends a key; its value at 3 ^ here
  units[(256 ^ 'A') ^ 3] = 0x80000000u;         // offset 0
  std::string bytes;
  const auto put = [&bytes](uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(value >> shift));
  };
  put(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) put(unit);
  return bytes + std::string("a\0", 2);
}

TEST(Charsmap, ReplacesPrefixes) {
  const auto map = Charsmap::create(lower_a_charsmap());
  ASSERT_TRUE(map.has_value());
  std::string out;
  map->apply(
      "xAB\xFF"
      "A\u00E9",
      out);
  EXPECT_EQ(out,
            "xaB\uFFFD"
            "a\u00E9");
  EXPECT_FALSE(Charsmap::create("\x10").has_value());
  EXPECT_FALSE(Charsmap::create(std::string("\x10\0\0\0zz", 6)).has_value());
}

TEST(Tiktoken, RefusesBrokenLines) {
  const auto error = [](std::string_view text) {
    const auto v = vocabulary_from_tiktoken(text, {});
    return v ? std::string("none") : v.error().message;
  };
  EXPECT_EQ(error("YQ== 0\r\nYg== 1\n\n"), "none");
  EXPECT_NE(error("YQ== 0\nYg==\n").find("line 2: no rank"), std::string::npos);
  EXPECT_NE(error("YQ= 0\n").find("not base64"), std::string::npos);
  EXPECT_NE(error("YQ== x\n").find("bad rank"), std::string::npos);
  EXPECT_NE(error("YQ== 0\nYg== 0\n").find("rank 0"), std::string::npos);
  EXPECT_NE(error("YQ== 4294967295\n").find("rank"), std::string::npos);
  EXPECT_NE(error("").find("no pieces"), std::string::npos);
}

GgufVocabularyFields small_gguf(const std::string& model) {
  GgufVocabularyFields f;
  f.model = model;
  f.tokens = {"<unk>", "<s>", "</s>", "a", "<|im_end|>"};
  f.merges = {"a a"};
  return f;
}

TEST(Gguf, DefaultsByModel) {
  const auto llama = vocabulary_from_gguf(small_gguf("llama"));
  ASSERT_TRUE(llama.has_value());
  EXPECT_TRUE(llama->add_bos && llama->add_space_prefix && !llama->add_eos);
  EXPECT_EQ(llama->bos, 1);
  EXPECT_EQ(llama->eot, 4);
  EXPECT_EQ(llama->end_of_generation, (Ids{2, 4}));
  EXPECT_EQ(llama->pieces[4].kind, PieceKind::kControl);
  const auto t5 = vocabulary_from_gguf(small_gguf("t5"));
  EXPECT_TRUE(t5->add_eos && !t5->add_bos);
  const auto bert = vocabulary_from_gguf(small_gguf("bert"));
  EXPECT_TRUE(bert->lower_case && bert->add_bos && bert->add_eos);
  EXPECT_FALSE(vocabulary_from_gguf(small_gguf("rwkv")).has_value());
}

TEST(Gguf, IdsOutsideTheVocabularyAreNotGiven) {
  auto f = small_gguf("llama");
  f.pad_id = 0xFFFFFFFF;
  f.eos_id = 3;
  const auto v = vocabulary_from_gguf(f);
  EXPECT_EQ(v->pad, std::nullopt);
  EXPECT_EQ(v->eos, 3);
}

TEST(Gguf, RefusesArraysOfDifferentLengths) {
  auto f = small_gguf("llama");
  f.scores = {1, 2};
  const auto v = vocabulary_from_gguf(f);
  ASSERT_FALSE(v.has_value());
  EXPECT_NE(v.error().message.find("scores: 2 entries"), std::string::npos);
  f = small_gguf("gpt2");
  f.merges.clear();
  EXPECT_FALSE(vocabulary_from_gguf(f).has_value());
  f = small_gguf("gpt2");
  f.pre = "no-such";
  EXPECT_FALSE(vocabulary_from_gguf(f).has_value());
}

TEST(Gguf, Phi3StripsAfterItsSpecials) {
  auto f = small_gguf("llama");
  f.model_name = "Phi-3.5-mini";
  f.token_types = {2, 3, 3, 1, 3};
  const auto v = vocabulary_from_gguf(f);
  EXPECT_TRUE(v->pieces[4].rstrip && v->pieces[2].rstrip);
  EXPECT_FALSE(v->pieces[1].rstrip || v->pieces[3].rstrip);
}

TEST(EndOfGeneration, HarmonyEndsOnlyAPart) {
  Vocabulary v;
  for (const char* text : {"<|return|>", "<|call|>", "<|end|>", "<|message|>"})
    v.pieces.push_back({.text = text, .kind = PieceKind::kControl});
  find_end_of_generation(v);
  EXPECT_EQ(v.end_of_generation, (Ids{0, 1}));
  EXPECT_EQ(v.pieces[2].kind, PieceKind::kUserDefined);
  EXPECT_EQ(v.pieces[3].kind, PieceKind::kUserDefined);
  EXPECT_EQ(v.eot, std::nullopt);
}

TEST(Directory, SaysWhatIsMissing) {
  const auto v = vocabulary_from_directory("/nonexistent-folder");
  ASSERT_FALSE(v.has_value());
  EXPECT_EQ(v.error().kind, base::ErrorKind::kNotFound);
  EXPECT_NE(v.error().message.find("/nonexistent-folder"), std::string::npos);
}

}  // namespace
}  // namespace neuros::text
