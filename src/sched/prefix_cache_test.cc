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
  explicit Fixture(int32_t count, int32_t host_count = 0, ContentForest::Hash hash = hash_page)
      : pages(count), slots(host_count), cache(pages, slots, 2, hash) {}

  PageId add(PageId parent, const Tokens& tokens) {
    return cache.insert(parent, tokens, *pages.take());
  }
  KvPages pages;
  HostSlots slots;
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
  Fixture f(8, 0, always_seven);
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
  EXPECT_FALSE(f.cache.find(kNoPage, Tokens{2, 2}).on_device());
  EXPECT_EQ(f.cache.find(kNoPage, Tokens{1, 1}).page, a);
  EXPECT_TRUE(f.cache.evict());
  EXPECT_FALSE(f.cache.evict());
  EXPECT_EQ(f.cache.find(kNoPage, Tokens{3, 3}).page, c);
  EXPECT_EQ(f.cache.check_invariants(), "");
}

using Kind = PageMove::Kind;

TEST(PrefixCacheHostTier, WhatIsEvictedGoesThereAndComesBack) {
  Fixture f(2, 2);
  const PageId a = f.add(kNoPage, {1, 1});
  const PageId ab = f.add(a, {2, 2});
  f.cache.release(ab);
  f.cache.release(a);
  EXPECT_TRUE(f.cache.evict());
  const PrefixCache::Place place = f.cache.find(a, Tokens{2, 2});
  ASSERT_TRUE(place.on_host());
  EXPECT_THAT(f.cache.take_moves(), ElementsAre(PageMove{Kind::kOut, ab, place.slot}));
  EXPECT_THAT(f.cache.match(Tokens{1, 1, 2, 2}), ElementsAre(a));

  f.cache.hold(a);
  const PageId page = *f.pages.take();
  f.cache.bring_in(a, Tokens{2, 2}, page);
  EXPECT_EQ(f.cache.find(a, Tokens{2, 2}).page, page);
  EXPECT_THAT(f.cache.take_moves(), ElementsAre(PageMove{Kind::kIn, page, place.slot}));
  EXPECT_EQ(f.slots.used_count(), 0);
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(PrefixCacheHostTier, KeepsWhatWasReleasedLast) {
  Fixture f(3, 1);
  const PageId a = f.add(kNoPage, {1, 1});
  const PageId b = f.add(kNoPage, {2, 2});
  f.cache.release(a);
  f.cache.release(b);
  EXPECT_TRUE(f.cache.evict());
  EXPECT_TRUE(f.cache.find(kNoPage, Tokens{1, 1}).on_host());
  EXPECT_TRUE(f.cache.evict());
  EXPECT_FALSE(f.cache.find(kNoPage, Tokens{1, 1}).on_host()) << "made room for what is newer";
  EXPECT_TRUE(f.cache.find(kNoPage, Tokens{2, 2}).on_host());
  EXPECT_EQ(f.slots.used_count(), 1);
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(PrefixCacheHostTier, APinnedSequenceStaysAndWhatComesIsForgotten) {
  Fixture f(2, 1);
  const PageId a = f.add(kNoPage, {1, 1});
  f.cache.release(a);
  EXPECT_TRUE(f.cache.evict());
  f.cache.release(f.add(kNoPage, {2, 2}));
  const Tokens sequence{1, 1, 5};
  {
    const PrefixCache::Pin pin(f.cache, {sequence});
    EXPECT_TRUE(f.cache.evict());
    EXPECT_FALSE(f.cache.find(kNoPage, Tokens{2, 2}).on_host());
  }
  EXPECT_TRUE(f.cache.find(kNoPage, Tokens{1, 1}).on_host());
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(PrefixCacheHostTier, ComputedAgainItComesHomeWithoutAMove) {
  Fixture f(2, 1);
  f.cache.release(f.add(kNoPage, {1, 1}));
  EXPECT_TRUE(f.cache.evict());
  f.cache.take_moves();
  const PageId again = f.add(kNoPage, {1, 1});
  EXPECT_EQ(f.cache.find(kNoPage, Tokens{1, 1}).page, again);
  EXPECT_EQ(f.slots.used_count(), 0);
  EXPECT_THAT(f.cache.take_moves(), IsEmpty());
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(PrefixCacheHostTier, AMoveThatFailedTakesWhatFollowsWithIt) {
  Fixture f(4, 4);
  const PageId a = f.add(kNoPage, {1, 1});
  const PageId ab = f.add(a, {2, 2});
  const PageId abc = f.add(ab, {3, 3});
  const PageId other = f.add(kNoPage, {9, 9});
  for (const PageId page : {abc, ab, other, a}) f.cache.release(page);
  EXPECT_TRUE(f.cache.evict() && f.cache.evict());
  std::vector<PageMove> moves = f.cache.take_moves();
  ASSERT_EQ(moves.size(), 2U);
  f.cache.forget_moved({&moves[1], 1});  // that of ab; abc went before and is of no use without
  EXPECT_EQ(f.slots.used_count(), 0);
  EXPECT_THAT(f.cache.match(Tokens{1, 1, 2, 2}), ElementsAre(a));
  EXPECT_THAT(f.cache.match(Tokens{9, 9}), ElementsAre(other));
  EXPECT_EQ(f.cache.check_invariants(), "");
}

TEST(HashPage, DependsOnParentAndOrder) {
  EXPECT_NE(hash_page(0, Tokens{1, 2}), hash_page(0, Tokens{2, 1}));
  EXPECT_NE(hash_page(0, Tokens{1, 2}), hash_page(1, Tokens{1, 2}));
}

}  // namespace
}  // namespace neuros::sched
