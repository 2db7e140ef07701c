// Token ids of every reference vocabulary, through every loader that can read it, against the ids
// that llama.cpp's converters wrote down.

#include "base/mapped_file.h"
#include "text/testing/gguf_vocabulary_file.h"
#include "text/testing/sentencepiece_writer.h"
#include "text/vocabulary_directory.h"
#include "text/vocabulary_hf_json.h"
#include "text/vocabulary_sentencepiece.h"
#include "text/vocabulary_tiktoken.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::text {
namespace {

using nlohmann::json;

const std::string kFolder = NEUROS_SOURCE_DIR "/../shared/data/tokenizers/";
const std::string kSpace = "\u2581";

struct Case {
  std::string text;
  std::vector<TokenId> ids;
};

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t at; (at = text.find(separator, start)) != std::string::npos;) {
    parts.push_back(text.substr(start, at - start));
    start = at + separator.size();
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::vector<TokenId> parse_ids(const std::string& line) {
  std::istringstream in(line);
  std::vector<TokenId> ids;
  for (TokenId id; in >> id;) ids.push_back(id);
  return ids;
}

/// `name` is that of the .inp and .out files without the ending.
std::vector<Case> read_cases(const std::string& name) {
  const auto inputs = base::read_text_file(kFolder + name + ".inp");
  const auto outputs = base::read_text_file(kFolder + name + ".out");
  EXPECT_TRUE(inputs.has_value() && outputs.has_value()) << name;
  if (!inputs || !outputs) return {};
  const auto texts = split(*inputs, "\n__ggml_vocab_test__\n");
  const auto lines = split(*outputs, "\n");
  std::vector<Case> cases;
  for (size_t i = 0; i < texts.size() && i < lines.size(); ++i)
    if (i + 1 < texts.size() || !texts[i].empty()) cases.push_back({texts[i], parse_ids(lines[i])});
  return cases;
}

void expect_cases(const Tokenizer& tokenizer, const std::string& vocabulary) {
  const std::string name = "ggml-vocab-" + vocabulary + ".gguf";
  const bool lossless = tokenizer.vocabulary().kind != VocabularyKind::kWordPiece;
  const auto cases = read_cases(name);
  EXPECT_GE(cases.size(), 40u);
  for (const Case& c : cases) {
    const auto ids = tokenizer.encode(c.text, {.add_special = false, .parse_special = false});
    EXPECT_EQ(ids, c.ids) << name << ": '" << c.text << "'";
    if (lossless) {
      EXPECT_EQ(tokenizer.decode(ids), c.text) << name;
    }
  }
}

std::shared_ptr<const Tokenizer> tokenizer_of(base::Result<Vocabulary> vocabulary) {
  EXPECT_TRUE(vocabulary.has_value()) << vocabulary.error().message;
  if (!vocabulary) return nullptr;
  auto tokenizer = Tokenizer::create(std::move(*vocabulary));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

GgufVocabularyFields gguf_fields(const std::string& vocabulary) {
  auto fields = read_gguf_vocabulary(kFolder + "ggml-vocab-" + vocabulary + ".gguf");
  EXPECT_TRUE(fields.has_value()) << fields.error().message;
  return fields ? std::move(*fields) : GgufVocabularyFields{};
}

#define NEUROS_NEEDS_DATA() \
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << kFolder << " is absent"

class GgufReference : public testing::TestWithParam<const char*> {};

TEST_P(GgufReference, EncodesAsLlamaCpp) {
  NEUROS_NEEDS_DATA();
  const auto tokenizer = tokenizer_of(vocabulary_from_gguf(gguf_fields(GetParam())));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, GgufReference,
                         testing::Values("llama-spm", "phi-3", "gpt-2", "deepseek-llm",
                                         "bert-bge"));

TEST(TiktokenReference, Llama3) {
  NEUROS_NEEDS_DATA();
  const auto tokenizer = tokenizer_of(vocabulary_from_directory(kFolder + "llama3"));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "llama-bpe");
  EXPECT_EQ(tokenizer->size(), 128256);
  EXPECT_EQ(tokenizer->find("<|eot_id|>"), 128009);
  EXPECT_EQ(tokenizer->encode("<|start_header_id|>user"),
            (std::vector<TokenId>{128000, 128006, 882}));
  for (const TokenId id : {128001, 128008, 128009}) EXPECT_TRUE(tokenizer->ends_generation(id));
  EXPECT_FALSE(tokenizer->ends_generation(128006));
}

TEST(HfReference, Qwen2FromVocabAndMerges) {
  NEUROS_NEEDS_DATA();
  const auto vocab = base::read_text_file(kFolder + "qwen2/vocab.json");
  const auto merges = base::read_text_file(kFolder + "qwen2/merges.txt");
  ASSERT_TRUE(vocab.has_value() && merges.has_value());
  const auto tokenizer = tokenizer_of(vocabulary_from_hf({
      .vocab_json = *vocab,
      .merges_txt = *merges,
      .tokenizer_config = R"({"tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "add_bos_token": false,
        "added_tokens_decoder": {
          "151643": {"content": "<|endoftext|>", "special": true},
          "151644": {"content": "<|im_start|>", "special": true},
          "151645": {"content": "<|im_end|>", "special": true}}})",
  }));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "qwen2");
  EXPECT_EQ(tokenizer->encode("<|im_start|>Hi<|im_end|>"),
            (std::vector<TokenId>{151644, 13048, 151645}));
  EXPECT_TRUE(tokenizer->ends_generation(151645));
  EXPECT_TRUE(tokenizer->ends_generation(151643));
}

/// A tokenizer.json with the pieces of a GGUF file.
json hf_vocab(const GgufVocabularyFields& fields) {
  json vocab = json::object();
  for (size_t id = 0; id < fields.tokens.size(); ++id) vocab[fields.tokens[id]] = id;
  return vocab;
}

TEST(HfReference, Gpt2AsTokenizerJson) {
  NEUROS_NEEDS_DATA();
  const auto fields = gguf_fields("gpt-2");
  const json document = {
      {"added_tokens", {{{"id", 50256}, {"content", "<|endoftext|>"}, {"special", true}}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", hf_vocab(fields)}, {"merges", fields.merges}}}};
  const std::string text = document.dump();
  const auto tokenizer = tokenizer_of(vocabulary_from_hf({.tokenizer_json = text}));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->vocabulary().pre, "gpt-2");
  expect_cases(*tokenizer, "gpt-2");
}

TEST(HfReference, BertAsTokenizerJson) {
  NEUROS_NEEDS_DATA();
  const auto fields = gguf_fields("bert-bge");
  json vocab = json::object();
  for (size_t id = 0; id < fields.tokens.size(); ++id) {
    const std::string& token = fields.tokens[id];
    const bool starts = token.starts_with(kSpace);
    const bool special = token.starts_with('[') && token.ends_with(']') && token.size() > 2;
    vocab[starts ? token.substr(kSpace.size()) : special ? token : "##" + token] = id;
  }
  const json document = {
      {"added_tokens",
       {{{"id", 101}, {"content", "[CLS]"}, {"special", true}},
        {{"id", 102}, {"content", "[SEP]"}, {"special", true}}}},
      {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}, {"strip_accents", nullptr}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "BertProcessing"}, {"sep", {"[SEP]", 102}}, {"cls", {"[CLS]", 101}}}},
      {"model", {{"type", "WordPiece"}, {"vocab", vocab}, {"unk_token", "[UNK]"}}}};
  const std::string text = document.dump();
  const auto tokenizer = tokenizer_of(vocabulary_from_hf({.tokenizer_json = text}));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "bert-bge");
  EXPECT_EQ(tokenizer->encode("hello"), (std::vector<TokenId>{101, 7592, 102}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("Hello world!")), "hello world !");
}

/// The merges that Hugging Face's converter derives: every way to join two pieces into a third, the
/// third's best score first.
std::vector<std::string> merges_of_scores(const GgufVocabularyFields& fields) {
  std::map<std::string, size_t> ids;
  for (size_t id = 0; id < fields.tokens.size(); ++id) ids[fields.tokens[id]] = id;
  std::vector<std::pair<float, std::string>> merges;
  for (size_t id = 0; id < fields.tokens.size(); ++id) {
    const std::string& token = fields.tokens[id];
    for (size_t cut = 1; fields.token_types[id] == 1 && cut < token.size(); ++cut)
      if (ids.contains(token.substr(0, cut)) && ids.contains(token.substr(cut)))
        merges.emplace_back(-fields.scores[id], token.substr(0, cut) + " " + token.substr(cut));
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> texts;
  for (auto& [score, merge] : merges) texts.push_back(std::move(merge));
  return texts;
}

TEST(HfReference, Llama2AsTokenizerJson) {
  NEUROS_NEEDS_DATA();
  const auto fields = gguf_fields("llama-spm");
  const json document = {
      {"added_tokens",
       {{{"id", 0}, {"content", "<unk>"}, {"special", true}},
        {{"id", 1}, {"content", "<s>"}, {"special", true}},
        {{"id", 2}, {"content", "</s>"}, {"special", true}}}},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", kSpace}},
          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}}}}}},
      {"pre_tokenizer", nullptr},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single",
         {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
        {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
      {"model",
       {{"type", "BPE"},
        {"byte_fallback", true},
        {"fuse_unk", true},
        {"unk_token", "<unk>"},
        {"vocab", hf_vocab(fields)},
        {"merges", merges_of_scores(fields)}}}};
  const std::string text = document.dump();
  const auto tokenizer = tokenizer_of(vocabulary_from_hf(
      {.tokenizer_json = text, .tokenizer_config = R"({"eos_token": {"content": "</s>"},
                              "chat_template": [{"name": "tool", "template": "b"},
                                                {"name": "default", "template": "a"}]})"}));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "llama-spm");
  EXPECT_EQ(tokenizer->encode("Hello world"), (std::vector<TokenId>{1, 15043, 3186}));
  EXPECT_EQ(tokenizer->vocabulary().chat_template, "a");
  EXPECT_TRUE(tokenizer->ends_generation(2));
}

TEST(SentencePieceReference, Llama2AsModelFile) {
  NEUROS_NEEDS_DATA();
  const auto fields = gguf_fields("llama-spm");
  std::vector<Piece> pieces;
  for (size_t id = 0; id < fields.tokens.size(); ++id)
    pieces.push_back({.text = fields.tokens[id],
                      .score = fields.scores[id],
                      .kind = static_cast<PieceKind>(fields.token_types[id])});
  const std::string bytes = write_sentencepiece(
      pieces, {.model_type = 2, .add_dummy_prefix = true, .remove_extra_whitespaces = false});
  const auto tokenizer = tokenizer_of(vocabulary_from_sentencepiece(bytes));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "llama-spm");
  EXPECT_EQ(tokenizer->encode("Hello world"), (std::vector<TokenId>{1, 15043, 3186}));
}

TEST(StoriesReference, PromptsAsLlamaCpp) {
  NEUROS_NEEDS_DATA();
  auto fields = read_gguf_vocabulary(kFolder + "../models/stories260K.gguf");
  const auto golden = base::read_text_file(kFolder + "../golden/stories260K.json");
  ASSERT_TRUE(fields.has_value() && golden.has_value());
  const auto tokenizer = tokenizer_of(vocabulary_from_gguf(std::move(*fields)));
  ASSERT_TRUE(tokenizer);
  for (const json& story : json::parse(*golden)) {
    const auto prompt = story["prompt"].get<std::string>();
    EXPECT_EQ(tokenizer->encode(prompt), story["prompt_ids"].get<std::vector<TokenId>>());
    StreamDecoder answer(tokenizer, false, StreamStart::kContinuation);
    std::string text;
    for (const TokenId id : story["ids"].get<std::vector<TokenId>>()) text += answer.push(id);
    EXPECT_EQ(text + answer.finish(), story["text"].get<std::string>());
  }
}

}  // namespace
}  // namespace neuros::text
