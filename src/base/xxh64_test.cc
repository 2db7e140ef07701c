#include "base/xxh64.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace neuros::base {
namespace {

uint64_t hash_of(std::string_view text) {
  return xxh64(std::as_bytes(std::span(text.data(), text.size())));
}

TEST(Xxh64, GivesTheKnownValues) {
  EXPECT_EQ(hash_of(""), 0xEF46DB3751D8E999);
  EXPECT_EQ(hash_of("a"), 0xD24EC4F1A98C6E5B);
  EXPECT_EQ(hash_of("abc"), 0x44BC2CF5AD770999);
  EXPECT_EQ(hash_of("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1);
}

TEST(Xxh64, TellsAnyChangedByte) {
  std::string text(100, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 37);
  const uint64_t whole = hash_of(text);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_NE(hash_of(changed), whole) << i;
    EXPECT_NE(hash_of(text.substr(0, i)), whole) << i;
  }
}

}  // namespace
}  // namespace neuros::base
