#include "text/pre_tokenizer.h"

#include "text/known_pre_tokenizers.h"

#include <gtest/gtest.h>

namespace neuros::text {
namespace {

using Parts = std::vector<std::string>;

Parts cut(const std::vector<SplitStep>& steps, std::string_view text) {
  const auto pre_tokenizer = PreTokenizer::create(steps);
  EXPECT_TRUE(pre_tokenizer.has_value()) << pre_tokenizer.error().message;
  Parts parts;
  RegexScratch scratch;
  if (pre_tokenizer)
    pre_tokenizer->split(text, scratch, [&](std::string_view part) { parts.emplace_back(part); });
  return parts;
}

Parts cut_as(std::string_view name, std::string_view text) {
  const auto known = find_pre_tokenizer(name);
  EXPECT_TRUE(known.has_value()) << name;
  return known ? cut(known->steps, text) : Parts{};
}

TEST(PreTokenizer, Behaviours) {
  const auto with = [](SplitBehaviour behaviour, bool invert = false) {
    return cut({{"-", behaviour, invert}}, "a-b--c");
  };
  EXPECT_EQ(with(SplitBehaviour::kIsolated), (Parts{"a", "-", "b", "-", "-", "c"}));
  EXPECT_EQ(with(SplitBehaviour::kRemoved), (Parts{"a", "b", "c"}));
  EXPECT_EQ(with(SplitBehaviour::kRemoved, true), (Parts{"-", "-", "-"}));
  EXPECT_EQ(with(SplitBehaviour::kMergedWithPrevious), (Parts{"a-", "b-", "-", "c"}));
  EXPECT_EQ(with(SplitBehaviour::kMergedWithNext), (Parts{"a", "-b", "-", "-c"}));
  EXPECT_EQ(with(SplitBehaviour::kContiguous), (Parts{"a", "-", "b", "--", "c"}));
}

TEST(PreTokenizer, StepsSeeOnlyTheirPart) {
  EXPECT_EQ(cut({{"[ab]+"}, {"b$"}}, "abcb"), (Parts{"a", "b", "c", "b"}));
}

TEST(PreTokenizer, KnownOnes) {
  EXPECT_EQ(cut_as("gpt-2", "I'll  be 1234!\n\nok"),
            (Parts{"I", "'ll", " ", " be", " 1234", "!", "\n", "\n", "ok"}));
  EXPECT_EQ(cut_as("llama-bpe", "I'LL  be 12345!\n\nok"),
            (Parts{"I", "'LL", " ", " be", " ", "123", "45", "!\n\n", "ok"}));
  EXPECT_EQ(cut_as("qwen2", "a 12"), (Parts{"a", " ", "1", "2"}));
  EXPECT_EQ(cut_as("qwen35", "\u0E01\u0E31x"), (Parts{"\u0E01\u0E31x"}));
  EXPECT_EQ(cut_as("gpt-4o", "HelloWorld's 1234"), (Parts{"Hello", "World's", " ", "123", "4"}));
  EXPECT_EQ(cut_as("tekken", "HelloWorld/\n12"), (Parts{"Hello", "World", "/\n", "1", "2"}));
  EXPECT_EQ(cut_as("deepseek-v3", "abc工作 12345"), (Parts{"abc", "工作", " ", "123", "45"}));
  EXPECT_EQ(cut_as("kimi-k2", "工作ab工C"), (Parts{"工作", "ab", "工", "C"}));
  EXPECT_EQ(cut_as("falcon", "a`b 1234"), (Parts{"a", "`", "b", " ", "123", "4"}));
  EXPECT_EQ(cut_as("default", "a==b 12345"), (Parts{"a", "==", "b", " ", "123", "45"}));
  EXPECT_EQ(cut_as("starcoder", "x 12"), (Parts{"x", " ", "1", "2"}));
  EXPECT_EQ(cut_as("none", "a b"), (Parts{"a b"}));
  EXPECT_EQ(cut_as("gemma4", "a b\n\nc"), (Parts{"a b", "\n\n", "c"}));
}

TEST(PreTokenizer, InvalidBytesStandAlone) {
  EXPECT_EQ(cut_as("gpt-2", "ab\xFF\xFE cd\xE2\x82"),
            (Parts{"ab", "\xFF", "\xFE", " cd", "\xE2", "\x82"}));
}

TEST(PreTokenizer, RefusesBrokenPatterns) {
  const std::vector<SplitStep> open_group = {{"(a"}};
  const auto broken = PreTokenizer::create(open_group);
  ASSERT_FALSE(broken.has_value());
  EXPECT_NE(broken.error().message.find("(a"), std::string::npos);
  EXPECT_FALSE(PreTokenizer::create(std::vector<SplitStep>(65, {"a"})).has_value());
  EXPECT_FALSE(PreTokenizer::create(std::vector<SplitStep>{{"\\C"}}).has_value());
}

TEST(PreTokenizer, ACostlyPatternEndsAndLosesNothing) {
  const std::string text(5000, 'a');
  std::string joined;
  for (const auto& part : cut({{"(a|aa|aaa)+b"}}, text)) joined += part;
  EXPECT_EQ(joined, text);
}

TEST(KnownPreTokenizers, NamesAndAliases) {
  EXPECT_FALSE(find_pre_tokenizer("no-such").has_value());
  EXPECT_TRUE(find_pre_tokenizer("llama3")->ignore_merges);
  EXPECT_TRUE(find_pre_tokenizer("llama3")->add_bos);
  EXPECT_FALSE(find_pre_tokenizer("smaug-bpe")->ignore_merges);
  EXPECT_EQ(find_pre_tokenizer("")->steps.size(), find_pre_tokenizer("default")->steps.size());
  for (const char* name : {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-v3", "tekken"})
    EXPECT_EQ(name_of_pre_tokenizer(find_pre_tokenizer(name)->steps), name);
  EXPECT_EQ(name_of_pre_tokenizer(std::vector<SplitStep>{{"x"}}), "");
}

}  // namespace
}  // namespace neuros::text
