#include "builder/spec/expression.h"

#include "builder/spec/expression_parser.h"
#include "builder/spec/prompt_template.h"
#include "builder/spec/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// A request of 100 tokens at nine, with what three stages gave.
Value variable(std::string_view name) {
  if (name == "latency") return Value::of_time(40'000);
  if (name == "hour") return Value::of_number(9);
  return Value::of_number(100);
}

Value reference(const Reference& reference) {
  if (reference.source == "score") return Value::of_text("0.75");
  if (reference.source == "words") return Value::of_text("yes and no");
  if (reference.text() == "$tool.found") return Value::of_bool(true);
  return {};
}

const ValueSource kValues{variable, reference};

base::Result<bool> value_of(std::string_view text,
                            ExpressionScope scope = ExpressionScope::kUntil) {
  const Expression expression = TRY(parse_expression(text, scope));
  return evaluate(expression, kValues);
}

std::string error_of(std::string_view text, ExpressionScope scope = ExpressionScope::kUntil) {
  const auto result = value_of(text, scope);
  return result ? "no error" : result.error().message;
}

TEST(Expression, Comparisons) {
  for (const char* text : {"prompt_len < 101",
                           "prompt_len <= 100",
                           "prompt_len >= 100",
                           "prompt_len == 100",
                           "prompt_len != 101",
                           "context_len < 8k",
                           "latency < 50ms",
                           "latency > 0.039s",
                           "latency == 40000us",
                           "hour > 8 and hour < 18",
                           "$score > 0.5",
                           "$score == 0.75",
                           "$words contains 'yes'",
                           "$words == \"yes and no\"",
                           "$tool.found",
                           "$tool.found == true",
                           "'it\\'s' == \"it's\"",
                           "1min == 60s",
                           "1k == 1024",
                           "true"}) {
    EXPECT_TRUE(value_of(text).value()) << text;
  }
}

TEST(Expression, Logic) {
  EXPECT_TRUE(value_of("true or false and false").value());
  EXPECT_FALSE(value_of("(true or false) and false").value());
  EXPECT_TRUE(value_of("not false and not not true").value());
  EXPECT_TRUE(value_of("(prompt_len < 5) == false").value());
  // What decides already is not followed by what could fail.
  EXPECT_TRUE(value_of("true or $words < 3").value());
  EXPECT_FALSE(value_of("false and $words < 3").value());
}

TEST(Expression, NoValueIsUnequalToEverything) {
  EXPECT_FALSE(value_of("$none").value());
  EXPECT_FALSE(value_of("$none == 1").value());
  EXPECT_TRUE(value_of("$none != 1").value());
  EXPECT_FALSE(value_of("$none < 1 or $none >= 1").value());
  EXPECT_FALSE(value_of("$none contains 'a'").value());
  EXPECT_TRUE(value_of("not ''").value());
}

TEST(Expression, ErrorsOfTheGrammarNameTheColumn) {
  EXPECT_EQ(error_of(""), "column 1: expected a value, found the end");
  EXPECT_EQ(error_of("hour <"), "column 7: expected a value, found the end");
  EXPECT_EQ(error_of("(hour < 3"), "column 10: expected ), found the end");
  EXPECT_EQ(error_of("hour < 3)"), "column 9: expected the end, found )");
  EXPECT_EQ(error_of("hour < 3 4"), "column 10: expected the end, found 4");
  EXPECT_EQ(error_of("1 < 2 < 3"), "column 7: a second comparison, expected and, or or brackets");
  EXPECT_EQ(error_of("'über' == 'a' # b"), "column 15: unexpected #");
  EXPECT_EQ(error_of("hour = 3"), "column 6: unexpected =");
  EXPECT_EQ(error_of("$words == \"open"), "column 11: text without its closing \"");
  EXPECT_EQ(error_of("$ == 1"), "column 1: $ without a name, expected $request or $STAGE");
  EXPECT_EQ(error_of("latency < 5h"), "column 11: unit h, expected k, us, ms, s or min");
  EXPECT_EQ(error_of("latncy < 5ms"), "column 1: latncy: no such name, did you mean latency?");
  EXPECT_EQ(error_of("and"), "column 1: and: no such name");
}

TEST(Expression, TypesAreCheckedWhereTheyAreKnown) {
  EXPECT_EQ(error_of("latency < 50"), "column 9: latency is a time, 50 has no unit");
  EXPECT_EQ(error_of("8 > latency"), "column 3: 8 has no unit, latency is a time");
  EXPECT_EQ(error_of("prompt_len < 5ms"), "column 12: prompt_len is a number, 5ms is a time");
  EXPECT_EQ(error_of("hour == 'nine'"), "column 6: hour is a number, 'nine' is a text");
  EXPECT_EQ(error_of("'a' < 'b'"), "column 5: 'a' is a text, which has no order");
  EXPECT_EQ(error_of("$words > true"), "column 8: true is a boolean, which has no order");
  EXPECT_EQ(error_of("hour contains 9"), "column 6: hour is a number, contains is about texts");
  EXPECT_EQ(error_of("(1 < 2) == 3"), "column 9: the condition is a boolean, 3 is a number");
}

TEST(Expression, TypesOfGivenValuesAreCheckedWhenTheyAreThere) {
  EXPECT_EQ(error_of("$words < 3"), "column 8: a text compared with a number");
  EXPECT_EQ(error_of("true and $tool.found == 'yes'"), "column 22: a boolean compared with a text");
  EXPECT_EQ(error_of("$words < $words"), "column 8: a text has no order");
  EXPECT_EQ(error_of("$tool.found contains 'a'"), "column 13: contains is about texts");
}

TEST(Expression, ScopesLimitTheNames) {
  EXPECT_EQ(error_of("iteration > 3", ExpressionScope::kWhen),
            "column 1: iteration is known in a loop's until only");
  EXPECT_TRUE(value_of("iteration > 3", ExpressionScope::kUntil).has_value());
  EXPECT_EQ(error_of("$a == 1", ExpressionScope::kRoute),
            "column 1: $a: a route decides before any stage has run");
  EXPECT_TRUE(value_of("$request.tier == 'gold'", ExpressionScope::kRoute).has_value());
}

TEST(Expression, DepthAndPartsAreLimited) {
  EXPECT_TRUE(value_of(std::string(32, '(') + "1" + std::string(32, ')')).has_value());
  EXPECT_EQ(error_of(std::string(40, '(') + "1"), "column 33: more than 32 levels");
  std::string nots, ors = "1";
  for (int i = 0; i < 40; ++i) nots += "not ";
  for (int i = 0; i < 200; ++i) ors += " or 1";
  EXPECT_EQ(error_of(nots + "1"), "column 129: more than 32 levels");
  EXPECT_THAT(error_of(ors), HasSubstr("more than 256 parts in one condition"));
}

TEST(Expression, ListsItsReferences) {
  const auto expression = parse_expression("$a.b == 1 or not $c", ExpressionScope::kWhen);
  EXPECT_THAT(expression->references(), ElementsAre(Reference{"a", "b"}, Reference{"c", ""}));
}

const std::vector<std::string> kModels{"small", "big", "qwen3-8b.v2"};

TEST(Route, TheFirstTrueConditionDecides) {
  const auto model = [](const char* text) {
    const auto route = parse_route("r", text, kModels);
    return route ? choose(*route, kValues).value() : route.error().message;
  };
  EXPECT_EQ(model("if prompt_len < 64 -> small; else -> big"), "big");
  EXPECT_EQ(model("if latency < 50ms -> small; else if true -> big; else -> big;"), "small");
  EXPECT_EQ(model("if hour < 6->small; else if hour < 10->qwen3-8b.v2; else->big"), "qwen3-8b.v2");
  EXPECT_EQ(model("else -> big"), "big");
}

TEST(Route, ErrorsNameTheColumn) {
  const auto error = [](const std::string& text) {
    const auto route = parse_route("r", text, kModels);
    return route ? "no error" : route.error().message;
  };
  EXPECT_EQ(error(""), "column 1: expected if or else, found the end");
  EXPECT_EQ(error("small"), "column 1: expected if or else, found small");
  EXPECT_EQ(error("if true -> small"), "column 17: expected ;, found the end");
  EXPECT_EQ(error("if true -> small; big"), "column 19: expected else, found big");
  EXPECT_EQ(error("if true small; else -> big"), "column 9: expected ->, found small");
  EXPECT_EQ(error("if true -> smal; else -> big"),
            "column 12: smal: no such model, did you mean small?");
  EXPECT_EQ(error("else -> big else"), "column 13: expected the end, found else");
  EXPECT_EQ(error("else -> 5"), "column 9: expected a model, found 5");
  EXPECT_EQ(error("if latency < 5 -> small; else -> big"),
            "column 12: latency is a time, 5 has no unit");
  std::string many;
  for (int i = 0; i < 17; ++i) many += "if true -> big; else ";
  EXPECT_EQ(error(many + "-> big"), "column 337: more than 16 conditions in one route");
}

TEST(Route, FailsWhereAConditionDoes) {
  const auto route = parse_route("r", "if $request.tier > 3 -> small; else -> big", kModels);
  const ValueSource gold{variable, [](const Reference&) { return Value::of_text("gold"); }};
  EXPECT_THAT(choose(*route, gold).error().message, StartsWith("column 18: a text compared"));
}

TEST(PromptTemplate, FindsReferences) {
  const auto prompt = parse_prompt_template("a $x...${y.z}b$$5 $5 $x.");
  ASSERT_TRUE(prompt.has_value());
  EXPECT_THAT(prompt->references(),
              ElementsAre(Reference{"x", ""}, Reference{"y", "z"}, Reference{"x", ""}));
  ASSERT_EQ(prompt->pieces.size(), 4u);
  EXPECT_EQ(prompt->pieces[1].text, "...");
  EXPECT_EQ(prompt->pieces[2].text, "b$5 $5 ");
  EXPECT_EQ(prompt->pieces[3], (PromptTemplate::Piece{".", {}}));
}

TEST(PromptTemplate, AnOpenBraceIsAnError) {
  for (const char* text : {"ü ${x", "ü ${x y}", "ü ${}", "ü ${x.}"}) {
    EXPECT_EQ(parse_prompt_template(text).error().message,
              "column 3: expected ${NAME} or ${NAME.FIELD}; a dollar sign is $$");
  }
}

}  // namespace
}  // namespace neuros::builder
