#include "pipeline/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

TEST(Golden, ReadsCases) {
  const auto cases = parse_golden(
      R"([{"prompt": "a", "prompt_ids": [1], "ids": [2, 3], "top5": [[[2, -0.5]], [[3, -0.25]]]}])");
  ASSERT_TRUE(cases.has_value());
  EXPECT_EQ(cases->front().ids, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(cases->front().top.at(1).at(0).id, 3);
}

TEST(Golden, WrongShapesSayWhere) {
  EXPECT_FALSE(parse_golden("{").has_value());
  const auto cases = parse_golden(R"([{"prompt": "a"}])");
  ASSERT_FALSE(cases.has_value());
  EXPECT_THAT(cases.error().message, testing::HasSubstr("element 0"));
}

TEST(Quiz, AcceptsWholeWordsOnly) {
  const QuizQuestion question{"facts", "[]", {"Paris", "42"}};
  EXPECT_TRUE(accepts(question, "It is PARIS."));
  EXPECT_TRUE(accepts(question, "42"));
  EXPECT_FALSE(accepts(question, "Parisian"));
  EXPECT_FALSE(accepts(question, "142"));
  EXPECT_FALSE(accepts(question, "London"));
}

}  // namespace
}  // namespace neuros::pipeline
