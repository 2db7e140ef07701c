#include "serve/request_parser.h"

#include <gtest/gtest.h>

namespace neuros::serve {
namespace {

constexpr std::string_view kPost =
    "POST /v1/a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

/// Feeds `bytes` in pieces of `step`, as a socket would; returns what is left over.
std::string feed(RequestParser& parser, std::string_view bytes, size_t step) {
  std::string inbox;
  while (!bytes.empty() && !parser.done() && !parser.failure()) {
    inbox += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
    inbox.erase(0, parser.put(inbox));
  }
  return inbox + std::string(bytes);
}

int failure_status(std::string_view bytes, RequestLimits limits = {}) {
  RequestParser parser(limits);
  feed(parser, bytes, bytes.size());
  return parser.failure() ? parser.failure()->status : 0;
}

TEST(RequestParser, GivesTheSameForEveryCut) {
  for (size_t step = 1; step <= kPost.size(); ++step) {
    RequestParser parser({});
    EXPECT_EQ(feed(parser, kPost, step), "");
    ASSERT_TRUE(parser.done()) << step;
    EXPECT_TRUE(parser.keep_alive());
    const Request request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/a b");
    EXPECT_EQ(request.query, "x=1");
    EXPECT_EQ(request.body, "hello");
    EXPECT_EQ(*request.header("host"), "h");
  }
}

TEST(RequestParser, LeavesThePipelinedRest) {
  RequestParser parser({});
  const std::string two = "\r\n" + std::string(kPost) + std::string(kPost);
  EXPECT_EQ(two.size() - parser.put(two), kPost.size());
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.put(kPost), 0u);
}

TEST(RequestParser, JoinsChunks) {
  for (const size_t step : {1, 3, 1000}) {
    RequestParser parser({});
    feed(
        parser,
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        step);
    ASSERT_TRUE(parser.done());
    EXPECT_EQ(parser.take().body, "abcde");
  }
}

TEST(RequestParser, NoticesExpectationAndVersion) {
  RequestParser parser({});
  parser.put("POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_TRUE(parser.head_done());
  EXPECT_FALSE(parser.done());
  EXPECT_TRUE(parser.expects_continue());
  RequestParser old({});
  old.put("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.is_http_1_0());
  EXPECT_FALSE(old.keep_alive());
}

TEST(RequestParser, TakesTheAbsoluteForm) {
  RequestParser parser({});
  parser.put("GET http://host:80/v1/models?a HTTP/1.1\r\nHost: host\r\n\r\n");
  ASSERT_TRUE(parser.done());
  const Request request = parser.take();
  EXPECT_EQ(request.path, "/v1/models");
  EXPECT_EQ(request.query, "a");
}

TEST(RequestParser, RefusesWhatIsTooLargeOrWrong) {
  EXPECT_EQ(failure_status("GET / HTTP/1.1\r\nA: " + std::string(600, 'x'), {.head_bytes = 500}),
            431);
  EXPECT_EQ(failure_status("POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n", {.body_bytes = 98}),
            413);
  EXPECT_EQ(
      failure_status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n",
                     {.body_bytes = 8}),
      413);
  EXPECT_EQ(failure_status("\x16\x03\x01\x02garbage\r\n\r\n"), 400);
  EXPECT_EQ(failure_status("GET /%zz HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(failure_status("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(failure_status("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(failure_status("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            400);
  EXPECT_EQ(failure_status("POST / HTTP/1.1\r\nContent-Length: 1\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n"),
            400);
}

}  // namespace
}  // namespace neuros::serve
