#include "pipeline/stages/stage_value.h"

#include "pipeline/stages/request_values.h"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

using builder::Value;

TEST(StageValue, FieldsOfAJsonObjectAreReachable) {
  const StageValue value = StageValue::of_text(
      R"( {"next": "end", "count": 3, "deep": {"a": [1, "x"]}, "yes": true, "none": null}
)");
  EXPECT_EQ(value.field_text("next"), "end");
  EXPECT_EQ(value.field_text("count"), "3");
  EXPECT_EQ(value.field_text("deep"), R"({"a":[1,"x"]})");
  EXPECT_EQ(value.field_text("yes"), "true");
  EXPECT_EQ(value.field_text("none"), "");
  EXPECT_EQ(value.field_text("absent"), "");
  EXPECT_EQ(value.field_value("next"), Value::of_text("end"));
  EXPECT_EQ(value.field_value("count"), Value::of_number(3));
  EXPECT_EQ(value.field_value("deep"), Value::of_text(R"({"a":[1,"x"]})"));
  EXPECT_EQ(value.field_value("yes"), Value::of_bool(true));
  EXPECT_EQ(value.field_value("none"), Value());
  EXPECT_EQ(value.field_value("absent"), Value());
}

TEST(StageValue, AnythingElseIsATextWithoutFields) {
  for (const std::string text : {"", "plain", "[1, 2]", "3", "\"next\"", "{\"next\": ", "{next: 1}",
                                 "{\"next\": 1} and more", "says {\"next\": 1}"}) {
    const StageValue value = StageValue::of_text(text);
    EXPECT_EQ(value.text(), text);
    EXPECT_EQ(value.value(), Value::of_text(text));
    EXPECT_EQ(value.field_value("next"), Value()) << text;
  }
}

TEST(StageValue, NestingIsLimitedAndBracketsInTextsAreNoNesting) {
  const auto nested = [](size_t lists) {
    return "{\"a\": " + std::string(lists, '[') + std::string(lists, ']') + "}";
  };
  EXPECT_NE(StageValue::of_text(nested(63)).field_value("a"), Value());
  EXPECT_EQ(StageValue::of_text(nested(64)).field_value("a"), Value());
  const std::string brackets = "\\\"" + std::string(500, '{');
  EXPECT_EQ(StageValue::of_text("{\"a\": \"" + brackets + "\"}").field_text("a"),
            "\"" + std::string(500, '{'));
}

TEST(StageValue, NothingIsNoValue) {
  const StageValue nothing;
  EXPECT_TRUE(nothing.is_nothing());
  EXPECT_EQ(nothing.text(), "");
  EXPECT_EQ(nothing.value(), Value());
  EXPECT_EQ(nothing.field_value("next"), Value());
}

StageValue request() {
  return StageValue::of("hello", std::make_shared<const nlohmann::ordered_json>(
                                     nlohmann::ordered_json{{"user", "ada"}, {"age", 36}}));
}

RequestValues values() {
  RequestValues values(request(), {.prompt_tokens = 5,
                                   .context_tokens = 9,
                                   .queue_depth = 2,
                                   .hour = 13,
                                   .first_token_us_p50 = 1500});
  values.set("a", StageValue::of_text(R"({"n": 1})"));
  values.set("b", StageValue::of_text("beta"));
  return values;
}

TEST(RequestValues, FillsPrompts) {
  RequestValues all = values();
  const auto prompt = builder::parse_prompt_template(
      "$request by ${request.user} ($request.age): $a, $a.n, $b, $b.n, $c costs $$5.");
  EXPECT_EQ(all.render(*prompt).value(), "hello by ada (36): {\"n\": 1}, 1, beta, ,  costs $5.");
  all.clear("b");
  EXPECT_EQ(all.text({"b", ""}), "");
}

TEST(RequestValues, JoinsWhatThereIsByBlankLines) {
  EXPECT_EQ(values().join({{"request", ""}, {"c", ""}, {"b", ""}, {"a", "n"}}).value(),
            "hello\n\nbeta\n\n1");
  EXPECT_EQ(values().join({}).value(), "");
}

TEST(RequestValues, RefusesToGrowWithoutEnd) {
  RequestValues all = values();
  all.set("b", StageValue::of_text(std::string(kStageInputBytesMax, 'x')));
  EXPECT_EQ(all.join({{"b", ""}, {"a", ""}}).error().message, "the input has more than 64 MiB");
  EXPECT_EQ(all.render(*builder::parse_prompt_template("$b!")).error().message,
            "the input has more than 64 MiB");
}

TEST(RequestValues, NamesOfConditions) {
  const RequestValues all = values();
  const auto source = all.source(4);
  EXPECT_EQ(source.variable("prompt_len"), Value::of_number(5));
  EXPECT_EQ(source.variable("context_len"), Value::of_number(9));
  EXPECT_EQ(source.variable("queue_depth"), Value::of_number(2));
  EXPECT_EQ(source.variable("hour"), Value::of_number(13));
  EXPECT_EQ(source.variable("latency"), Value::of_time(1500));
  EXPECT_EQ(source.variable("iteration"), Value::of_number(4));
  EXPECT_EQ(source.reference({"request", "age"}), Value::of_number(36));
  EXPECT_EQ(source.reference({"b", ""}), Value::of_text("beta"));
  EXPECT_EQ(source.reference({"c", ""}), Value());
}

}  // namespace
}  // namespace neuros::pipeline
