#include "pipeline/language_model.h"

#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

ReasoningSplitter::Parts split(const std::string& text, size_t piece, bool starts_inside = false) {
  ReasoningSplitter splitter("<think>", "</think>", starts_inside);
  ReasoningSplitter::Parts all;
  for (size_t at = 0; at < text.size(); at += piece) {
    const auto parts = splitter.push(std::string_view(text).substr(at, piece));
    all.reasoning += parts.reasoning;
    all.content += parts.content;
  }
  const auto rest = splitter.finish();
  return {all.reasoning + rest.reasoning, all.content + rest.content};
}

TEST(Reasoning, EveryChunkingSplitsAlike) {
  const std::string text =
      "\n<think>\nFirst a < b, then </thin air.\n</think>\n\nThe answer is 4.\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    const auto parts = split(text, piece);
    EXPECT_EQ(parts.reasoning, "First a < b, then </thin air.") << piece;
    EXPECT_EQ(parts.content, "The answer is 4.\n") << piece;
  }
}

TEST(Reasoning, PlainAnswersPassThrough) {
  for (size_t piece = 1; piece <= 8; ++piece) {
    const auto parts = split("<thin> is not a tag", piece);
    EXPECT_EQ(parts.content, "<thin> is not a tag");
    EXPECT_EQ(parts.reasoning, "");
  }
}

TEST(Reasoning, PromptMayHaveOpenedTheTag) {
  for (size_t piece = 1; piece <= 8; ++piece) {
    const auto parts = split("\nhm\n</think>\n\nyes", piece, true);
    EXPECT_EQ(parts.reasoning, "hm");
    EXPECT_EQ(parts.content, "yes");
  }
}

TEST(Reasoning, UnfinishedThoughtIsReasoning) {
  EXPECT_EQ(split("<think>so far", 3).reasoning, "so far");
  EXPECT_EQ(split("<think>so far", 3).content, "");
}

TEST(Reasoning, TagsAreReadOffTheTemplate) {
  EXPECT_EQ(reasoning_tags("{{ x.split('</think>') }}")->first, "<think>");
  EXPECT_FALSE(reasoning_tags("{{ messages }}").has_value());
}

}  // namespace
}  // namespace neuros::pipeline
