// Token ids of every reference vocabulary against the ids that llama.cpp's converters wrote down.

#include "base/mapped_file.h"
#include "text/testing/gguf_vocabulary_file.h"
#include "text/vocabulary_tiktoken.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace neuros::text {
namespace {

const std::string kFolder = NEUROS_SOURCE_DIR "/../shared/data/tokenizers/";

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

void expect_cases(const Tokenizer& tokenizer, const std::string& name, bool lossless) {
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

std::shared_ptr<const Tokenizer> load_gguf(const std::string& path) {
  auto fields = read_gguf_vocabulary(path);
  EXPECT_TRUE(fields.has_value()) << fields.error().message;
  if (!fields) return nullptr;
  return tokenizer_of(vocabulary_from_gguf(std::move(*fields)));
}

bool data_missing() {
  return !std::filesystem::exists(kFolder);
}

#define NEUROS_NEEDS_DATA() \
  if (data_missing()) GTEST_SKIP() << kFolder << " is absent"

class GgufReference : public testing::TestWithParam<const char*> {};

TEST_P(GgufReference, EncodesAsLlamaCpp) {
  NEUROS_NEEDS_DATA();
  const std::string name = std::string("ggml-vocab-") + GetParam() + ".gguf";
  const auto tokenizer = load_gguf(kFolder + name);
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, name, tokenizer->vocabulary().kind != VocabularyKind::kWordPiece);
}

INSTANTIATE_TEST_SUITE_P(All, GgufReference,
                         testing::Values("llama-spm", "phi-3", "gpt-2", "deepseek-llm",
                                         "bert-bge"));

TEST(TiktokenReference, Llama3EncodesAsLlamaCpp) {
  NEUROS_NEEDS_DATA();
  const auto text = base::read_text_file(kFolder + "llama3/tokenizer.model");
  ASSERT_TRUE(text.has_value());
  const auto tokenizer = tokenizer_of(vocabulary_from_tiktoken(*text, llama3_tiktoken_options()));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "ggml-vocab-llama-bpe.gguf", true);
  EXPECT_EQ(tokenizer->size(), 128256);
  EXPECT_EQ(tokenizer->find("<|eot_id|>"), 128009);
  EXPECT_EQ(tokenizer->encode("<|start_header_id|>user"),
            (std::vector<TokenId>{128000, 128006, 882}));
  EXPECT_TRUE(tokenizer->ends_generation(128001));
  EXPECT_TRUE(tokenizer->ends_generation(128008));
  EXPECT_TRUE(tokenizer->ends_generation(128009));
  EXPECT_FALSE(tokenizer->ends_generation(128006));
}

}  // namespace
}  // namespace neuros::text
