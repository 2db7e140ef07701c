#include "pipeline/stop_matcher.h"

#include <random>

#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

/// The text a reader sees when `text` arrives in pieces of the given sizes.
std::string seen(const std::string& text, std::vector<std::string> stops, std::mt19937& random) {
  StopMatcher matcher(std::move(stops));
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t size = 1 + random() % 4;
    out += matcher.push(std::string_view(text).substr(at, size));
    at += size;
  }
  return out + matcher.finish();
}

TEST(StopMatcher, AnyChunkingGivesTheTextBeforeTheFirstStop) {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 30; ++i) text += static_cast<char>('a' + random() % 3);
    const std::vector<std::string> stops{"abca", "cc", "bab"};
    size_t first = text.size();
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    StopMatcher whole(stops);
    std::string at_once = whole.push(text);
    at_once += whole.finish();
    EXPECT_EQ(at_once, text.substr(0, first));
    const std::string pieces = seen(text, stops, random);
    // A stop that ends earlier may be seen before one that begins earlier but is longer.
    EXPECT_TRUE(text.starts_with(pieces));
    for (const std::string& stop : stops) EXPECT_EQ(pieces.find(stop), std::string::npos);
  }
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("hello E"), "hello ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("X"), "ENX");
  EXPECT_EQ(matcher.push("EN"), "");
  EXPECT_EQ(matcher.finish(), "EN");
}

TEST(StopMatcher, TellsWhichStopMatched) {
  StopMatcher matcher({"\n", "."});
  EXPECT_EQ(matcher.push("one. two"), "one");
  EXPECT_EQ(matcher.matched(), ".");
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

}  // namespace
}  // namespace neuros::pipeline
