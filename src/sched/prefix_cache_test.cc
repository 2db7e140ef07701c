#include "sched/prefix_cache.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Tokens = std::vector<TokenId>;

uint64_t always_seven(uint64_t, std::span<const TokenId>) {
  return 7;
}

struct Fixture {
  explicit Fixture(int32_t count, PrefixCache::Hash hash = hash_page)
      : pages(count), cache(pages, 2, hash) {}

  PageId add(PageId parent, const Tokens& tokens) {
    return cache.insert(parent, tokens, *pages.take());
  }
  KvPages pages;
  PrefixCache cache;
};

TEST(PrefixCache, FindsTheLongestRunOfFullPages) {
  Fixture f(4);
  const PageId a = f.add(kNoPage, {1, 2});
  const PageId b = f.add(a, {3, 4});
  EXPECT_THAT(f.cache.match(Tokens{1, 2, 3, 4, 5}), ElementsAre(a, b));
  EXPECT_THAT(f.cache.match(Tokens{1, 2, 3}), ElementsAre(a));
  EXPECT_THAT(f.cache.match(Tokens{1, 2, 9, 9}), ElementsAre(a));
  EXPECT_THAT(f.cache.match(Tokens{3, 4}), IsEmpty());
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(PrefixCache, CollidingHashesNeverGiveAnotherPage) {
  Fixture f(8, always_seven);
  const PageId a = f.add(kNoPage, {1, 2});
  const PageId b = f.add(kNoPage, {3, 4});
  const PageId ab = f.add(a, {3, 4});
  const PageId bb = f.add(b, {3, 4});
  EXPECT_THAT(f.cache.match(Tokens{3, 4, 3, 4}), ElementsAre(b, bb));
  EXPECT_THAT(f.cache.match(Tokens{1, 2, 3, 4}), ElementsAre(a, ab));
  EXPECT_THAT(f.cache.match(Tokens{1, 2, 1, 2}), ElementsAre(a));
  f.cache.release(ab);
  EXPECT_TRUE(f.cache.evict());
  EXPECT_THAT(f.cache.match(Tokens{1, 2, 3, 4}), ElementsAre(a));
  EXPECT_THAT(f.cache.match(Tokens{3, 4, 3, 4}), ElementsAre(b, bb));
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(PrefixCache, TheSameContentTwiceBecomesOnePage) {
  Fixture f(2);
  const PageId a = f.add(kNoPage, {1, 2});
  EXPECT_EQ(f.add(kNoPage, {1, 2}), a);
  EXPECT_EQ(f.pages.holders(a), 2);
  EXPECT_EQ(f.pages.free_count(), 1);
}

TEST(PrefixCache, EvictsWhatWasReleasedLongestAgo) {
  Fixture f(3);
  const PageId a = f.add(kNoPage, {1, 1});
  const PageId b = f.add(kNoPage, {2, 2});
  const PageId c = f.add(kNoPage, {3, 3});
  EXPECT_FALSE(f.cache.evict()) << "held pages are never evicted";
  f.cache.release(a);
  f.cache.release(b);
  f.cache.hold(a);  // used again
  f.cache.release(a);
  EXPECT_TRUE(f.cache.evict());
  EXPECT_EQ(f.cache.find(kNoPage, Tokens{2, 2}), kNoPage);
  EXPECT_EQ(f.cache.find(kNoPage, Tokens{1, 1}), a);
  EXPECT_TRUE(f.cache.evict());
  EXPECT_FALSE(f.cache.evict());
  EXPECT_EQ(f.cache.find(kNoPage, Tokens{3, 3}), c);
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(HashPage, DependsOnParentAndOrder) {
  EXPECT_NE(hash_page(0, Tokens{1, 2}), hash_page(0, Tokens{2, 1}));
  EXPECT_NE(hash_page(0, Tokens{1, 2}), hash_page(1, Tokens{1, 2}));
}

}  // namespace
}  // namespace neuros::sched
