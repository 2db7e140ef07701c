#include "text/trie.h"

#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace neuros::text {
namespace {

TEST(Trie, FindsTheLongestKey) {
  const Trie::Entry entries[] = {{"ab", 1}, {"abcd", 2}, {"b", 3}, {"\xFFz", 4}, {"ab", 0}};
  const Trie trie(entries);
  EXPECT_EQ(trie.longest("abcx", 0).value, 0);  // of two equal keys the lower value
  EXPECT_EQ(trie.longest("abcx", 0).bytes, 2u);
  EXPECT_EQ(trie.longest("abcd", 0).value, 2);
  EXPECT_EQ(trie.longest("abcd", 1).value, 3);
  EXPECT_EQ(trie.longest("\xFFz", 0).value, 4);
  EXPECT_EQ(trie.longest("x", 0).bytes, 0u);
  EXPECT_EQ(Trie().longest("x", 0).bytes, 0u);
  EXPECT_TRUE(Trie().empty());
}

TEST(Trie, AgreesWithAMapOnRandomKeys) {
  std::mt19937 random(7);
  std::map<std::string, int32_t> keys;
  while (keys.size() < 500) {
    std::string key;
    for (size_t size = 1 + random() % 5; key.size() < size;)
      key.push_back(static_cast<char>('a' + random() % 3));
    keys.emplace(key, static_cast<int32_t>(keys.size()));
    if (keys.size() == 363) break;  // all words of up to five letters out of three
  }
  std::vector<Trie::Entry> entries;
  for (const auto& [key, value] : keys)
    if (value % 3 != 0) entries.push_back({key, value});
  const Trie trie(entries);
  for (const auto& [key, value] : keys) {
    const auto match = trie.longest(key, 0);
    EXPECT_EQ(match.bytes == key.size(), value % 3 != 0) << key;
    if (match.bytes > 0) {
      EXPECT_EQ(match.value, keys.at(key.substr(0, match.bytes)));
    }
  }
}

}  // namespace
}  // namespace neuros::text
