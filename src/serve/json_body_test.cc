#include "serve/json_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view body, JsonLimits limits = {}) {
  const auto json = parse_json_body(body, limits);
  return json ? "" : json.error().message;
}

TEST(JsonBody, KeepsTheOrderOfKeys) {
  const auto json = parse_json_body(R"({"z":1,"a":{"y":2,"b":3}})");
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(dump(*json), R"({"z":1,"a":{"y":2,"b":3}})");
}

TEST(JsonBody, SaysWhereItIsWrong) {
  EXPECT_THAT(error_of("{\n  \"a\": 1,\n  }"), HasSubstr("line 3, column 3"));
  EXPECT_THAT(error_of("{\"a\": 01}"), HasSubstr("line 1"));
  EXPECT_THAT(error_of(""), HasSubstr("line 1, column 1"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("object is expected, not array"));
  EXPECT_THAT(error_of("{\"a\":\"\xff\"}"), HasSubstr("line 1"));
  EXPECT_EQ(parse_json_body("{").error().code, "invalid_json");
  EXPECT_EQ(parse_json_body("{").error().status, 400);
}

TEST(JsonBody, BoundsDepthAndSize) {
  const std::string deep = "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_THAT(error_of(deep), HasSubstr("nested deeper than 64"));
  EXPECT_EQ(error_of("{\"a\":\"" + std::string(100, '[') + "\"}"), "");
  EXPECT_EQ(error_of("{\"a\":\"\\\"" + std::string(100, '[') + "\"}"), "");
  EXPECT_THAT(error_of("{\"a\":[1,2,3,4]}", {.values = 4}), HasSubstr("more than 4 values"));
  EXPECT_THAT(error_of(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
}

TEST(JsonBody, AcceptsDuplicateKeysAndHugeNumbers) {
  EXPECT_EQ(error_of(R"({"a":1,"a":2})"), "");
  EXPECT_THAT(error_of(R"({"a":1e999})"), HasSubstr("number overflow"));
}

}  // namespace
}  // namespace neuros::serve
