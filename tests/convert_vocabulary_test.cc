/// Vocabularies written as GGUF metadata and read back give the same tokens.

#include "builder/vocabulary_metadata.h"
#include "formats/checkpoint.h"
#include "formats/gguf_header.h"
#include "formats/gguf_reader.h"
#include "pipeline/gguf_vocabulary.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"
#include "text/vocabulary_directory.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

namespace fs = std::filesystem;
using text::PieceKind;
using text::TokenId;
using text::Vocabulary;
using text::VocabularyKind;

const fs::path kTokenizers = fs::path(NEUROS_SOURCE_DIR) / "../shared/data/tokenizers";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

/// The texts of a reference file, or the one text if `marker` does not occur.
std::vector<std::string> test_texts() {
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts{
      "", " ", "Hello world", "  a  b\n\n\tc 12345 don't <s></s> e\xCC\x81",
      "\xE2\x84\xAB \xEF\xBC\xA1 \xC3\x85ngstr\xC3\xB6m <|a|>  x <|b|>  y"};
  std::string rest = read(kTokenizers / "ggml-vocab-qwen2.gguf.inp");
  for (size_t at = rest.find(marker); at != std::string::npos; at = rest.find(marker)) {
    texts.push_back(rest.substr(0, at));
    rest.erase(0, at + marker.size());
  }
  texts.push_back(rest);
  return texts;
}

/// Through the bytes of a GGUF file.
base::Result<Vocabulary> written_and_read(const Vocabulary& vocabulary, int64_t rows) {
  formats::Metadata metadata;
  TRY(builder::write_vocabulary(vocabulary, rows, metadata));
  const auto header = TRY(formats::encode_gguf_header(metadata, {}));
  const auto checkpoint = TRY(formats::parse_gguf(std::as_bytes(std::span(header.bytes))));
  return pipeline::read_gguf_vocabulary(checkpoint);
}

void expect_same_pieces(const Vocabulary& a, const Vocabulary& b) {
  ASSERT_GE(b.pieces.size(), a.pieces.size());
  for (size_t id = 0; id < a.pieces.size(); ++id) {
    const text::Piece &wanted = a.pieces[id], &found = b.pieces[id];
    if (!wanted.text.empty()) {
      ASSERT_EQ(wanted.text, found.text) << id;
    }
    ASSERT_EQ(wanted.kind, found.kind) << id << " " << wanted.text;
    ASSERT_EQ(wanted.lstrip, found.lstrip) << id << " " << wanted.text;
    ASSERT_EQ(wanted.rstrip, found.rstrip) << id << " " << wanted.text;
  }
}

void expect_round_trip(const Vocabulary& vocabulary, int64_t rows = 0) {
  auto back = written_and_read(vocabulary, rows);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  expect_same_pieces(vocabulary, *back);
  EXPECT_EQ(vocabulary.bos, back->bos);
  EXPECT_EQ(vocabulary.eos, back->eos);
  EXPECT_EQ(vocabulary.eot, back->eot);
  EXPECT_EQ(vocabulary.end_of_generation, back->end_of_generation);
  EXPECT_EQ(vocabulary.chat_template, back->chat_template);
  const auto wanted = text::Tokenizer::create(vocabulary);
  const auto found = text::Tokenizer::create(std::move(*back));
  ASSERT_TRUE(wanted.has_value()) << wanted.error().message;
  ASSERT_TRUE(found.has_value()) << found.error().message;
  for (const std::string& text : test_texts()) {
    for (const bool parse_special : {false, true}) {
      const text::EncodeOptions options{.parse_special = parse_special};
      ASSERT_EQ((*wanted)->encode(text, options), (*found)->encode(text, options)) << text;
    }
  }
}

Vocabulary vocabulary_in(const fs::path& folder) {
  auto vocabulary = text::vocabulary_from_directory(folder.string());
  EXPECT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  return vocabulary ? std::move(*vocabulary) : Vocabulary();
}

TEST(ConvertVocabulary, Qwen2FromVocabAndMerges) {
  if (!fs::exists(kTokenizers)) GTEST_SKIP() << "no " << kTokenizers;
  Vocabulary vocabulary = vocabulary_in(kTokenizers / "qwen2");
  vocabulary.pre = "qwen2";
  vocabulary.normalization = text::Normalization::kNfc;
  vocabulary.chat_template = "{{ messages }}";
  expect_round_trip(vocabulary, 151936);
}

TEST(ConvertVocabulary, Llama3FromTiktoken) {
  if (!fs::exists(kTokenizers)) GTEST_SKIP() << "no " << kTokenizers;
  expect_round_trip(vocabulary_in(kTokenizers / "llama3"), 128256);
}

class GgufVocabulary : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(ConvertVocabulary, GgufVocabulary,
                         ::testing::Values("llama-spm", "phi-3", "gpt-2", "deepseek-llm",
                                           "bert-bge"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(GgufVocabulary, SurvivesWritingAndReading) {
  const fs::path path = kTokenizers / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path;
  const auto checkpoint = formats::open_checkpoint(path.string());
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  const auto vocabulary = pipeline::read_gguf_vocabulary(*checkpoint);
  ASSERT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  expect_round_trip(*vocabulary);
}

/// Bytes, special tokens and a merge; nothing that another program's files would hold.
Vocabulary unusual_vocabulary() {
  Vocabulary v;
  v.add_space_prefix = false;
  for (int byte = 0; byte < 256; ++byte) {
    v.pieces.push_back({.text = text::to_byte_alphabet(std::string(1, static_cast<char>(byte)))});
  }
  v.pieces.push_back({.text = "<|a|>", .kind = PieceKind::kControl, .lstrip = true});
  v.pieces.push_back({.text = "<|b|>", .kind = PieceKind::kUserDefined, .rstrip = true});
  v.pieces.push_back({.text = "", .kind = PieceKind::kUnused});
  v.pieces.push_back({.text = "ll"});
  v.merges = {"l l"};
  v.bos = v.eos = 256;
  v.end_of_generation = {256, 7};
  std::sort(v.end_of_generation.begin(), v.end_of_generation.end());
  v.begin_with = {257, 256};
  v.end_with = {256};
  v.add_bos = v.add_eos = true;
  v.space_prefix_if_missing = v.add_space_prefix = v.space_prefix_first_only = true;
  v.ignore_merges = true;
  v.lower_case = true;
  v.normalization = text::Normalization::kNfkd;
  v.pre_steps = {{"\\d", text::SplitBehaviour::kMergedWithNext, false},
                 {"\\s+", text::SplitBehaviour::kRemoved, false},
                 {"[a-z]+", text::SplitBehaviour::kIsolated, true}};
  return v;
}

TEST(ConvertVocabulary, WhatGgufCannotSayIsKeptInOwnKeys) {
  Vocabulary vocabulary = unusual_vocabulary();
  auto back = written_and_read(vocabulary, 300);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->normalization, vocabulary.normalization);
  EXPECT_EQ(back->begin_with, vocabulary.begin_with);
  EXPECT_EQ(back->pre_steps.size(), 3U);
  EXPECT_EQ(back->pieces.size(), 300U);
  vocabulary.end_of_generation = back->end_of_generation;  // the id 7 is in neuros.eos_token_ids
  expect_round_trip(vocabulary, 300);
}

TEST(ConvertVocabulary, EndsBesidesEosAreListed) {
  formats::Metadata metadata;
  ASSERT_TRUE(builder::write_vocabulary(unusual_vocabulary(), 0, metadata));
  const auto* ends = metadata.integers("neuros.eos_token_ids");
  ASSERT_NE(ends, nullptr);
  EXPECT_THAT(*ends, ::testing::ElementsAre(7, 256));
}

/// Llama 2's tokenizer.json has merges and no scores; other programs go by the scores.
TEST(ConvertVocabulary, MergesOfSentencePieceBecomeScores) {
  Vocabulary v;
  v.kind = VocabularyKind::kSentencePieceBpe;
  v.pieces = {{.text = "<unk>", .kind = PieceKind::kUnknown},
              {.text = "<s>", .kind = PieceKind::kControl},
              {.text = "</s>", .kind = PieceKind::kControl},
              {.text = "l"},
              {.text = "o"},
              {.text = "lo"},
              {.text = "ll"}};
  v.unk = 0, v.bos = 1, v.eos = 2;
  v.end_of_generation = {2};
  v.merges = {"l l", "l o"};
  formats::Metadata metadata;
  ASSERT_TRUE(builder::write_vocabulary(v, 0, metadata));
  const auto* scores = metadata.numbers("tokenizer.ggml.scores");
  ASSERT_NE(scores, nullptr);
  EXPECT_GT(scores->at(6), scores->at(5));
  EXPECT_GT(scores->at(5), scores->at(3));
  EXPECT_FALSE(metadata.contains("neuros.eos_token_ids"));
  expect_round_trip(v);
}

TEST(ConvertVocabulary, WrongOwnKeysAreErrors) {
  formats::Checkpoint checkpoint;
  ASSERT_TRUE(builder::write_vocabulary(unusual_vocabulary(), 0, checkpoint.metadata));
  const auto error_with = [&](const char* key, formats::MetadataValue value) {
    formats::Checkpoint changed;
    changed.metadata = checkpoint.metadata;
    changed.metadata.set(key, std::move(value));
    const auto read = pipeline::read_gguf_vocabulary(changed);
    return read ? std::string("no error") : read.error().message;
  };
  using ::testing::HasSubstr;
  const formats::MetadataArray far{std::vector<int64_t>{1, 100000}};
  EXPECT_THAT(error_with("neuros.tokenizer.lstrip_ids", far), HasSubstr("lstrip_ids"));
  EXPECT_THAT(error_with("neuros.tokenizer.begin_with", far), HasSubstr("begin_with"));
  EXPECT_THAT(error_with("neuros.tokenizer.split_behaviours", far), HasSubstr("behaviours"));
  EXPECT_THAT(error_with("neuros.tokenizer.normalization", std::string("nfx")),
              HasSubstr("normalization"));
  EXPECT_THAT(error_with("neuros.tokenizer.word_chars_max", int64_t{-1}),
              HasSubstr("word_chars_max"));
}

}  // namespace
}  // namespace neuros
