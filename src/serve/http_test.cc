#include "serve/http.h"

#include <gtest/gtest.h>

namespace neuros::serve {
namespace {

TEST(Http, DecodesPercentEscapes) {
  EXPECT_EQ(percent_decode("a%2Fb+c", '+'), "a/b+c");
  EXPECT_EQ(percent_decode("a+b", ' '), "a b");
  EXPECT_EQ(percent_decode("%4", '+'), std::nullopt);
  EXPECT_EQ(percent_decode("%zz", '+'), std::nullopt);
}

TEST(Http, FindsHeadersAndQueryValues) {
  const Request request{.method = "GET",
                        .path = "/",
                        .query = "a=1&model=x%2Fy&b",
                        .headers = {{"Content-Type", "text/plain"}},
                        .body = "",
                        .id = ""};
  ASSERT_NE(request.header("content-TYPE"), nullptr);
  EXPECT_EQ(*request.header("content-type"), "text/plain");
  EXPECT_EQ(request.header("content"), nullptr);
  EXPECT_EQ(request.query_value("model"), "x/y");
  EXPECT_EQ(request.query_value("b"), "");
  EXPECT_EQ(request.query_value("c"), std::nullopt);
}

TEST(Http, ComparesKeys) {
  EXPECT_TRUE(equals_in_constant_time("secret", "secret"));
  EXPECT_FALSE(equals_in_constant_time("secret", "secres"));
  EXPECT_FALSE(equals_in_constant_time("secret", "secret1"));
}

TEST(Http, GivesFreshIds) {
  EXPECT_EQ(random_id("req-").size(), 28u);
  EXPECT_NE(random_id("req-"), random_id("req-"));
}

}  // namespace
}  // namespace neuros::serve
