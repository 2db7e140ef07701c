#include "sched/kv_pages.h"

#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

TEST(KvPages, AreTakenOnceAndComeBack) {
  KvPages pages(2);
  const auto a = pages.take(), b = pages.take();
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  EXPECT_EQ(pages.take(), std::nullopt);
  EXPECT_EQ(pages.held_count(), 2);
  pages.release(*a);
  EXPECT_EQ(pages.free_count(), 1);
  EXPECT_EQ(pages.take(), a);
  EXPECT_EQ(pages.check_invariants(), "");
}

TEST(KvPages, ASharedPageIsFreeAfterItsLastHolder) {
  KvPages pages(1);
  const PageId page = *pages.take();
  pages.hold(page);
  pages.release(page);
  EXPECT_EQ(pages.free_count(), 0);
  pages.release(page);
  EXPECT_EQ(pages.free_count(), 1);
}

TEST(KvPages, AKeptPageIsCachedUntilDiscarded) {
  KvPages pages(1);
  const PageId page = *pages.take();
  pages.keep(page);
  EXPECT_EQ(pages.cached_count(), 0);
  pages.release(page);
  EXPECT_EQ(pages.cached_count(), 1);
  EXPECT_EQ(pages.take(), std::nullopt);
  pages.hold(page);
  EXPECT_EQ(pages.cached_count(), 0);
  pages.release(page);
  pages.discard(page);
  EXPECT_EQ(pages.free_count(), 1);
  EXPECT_EQ(pages.check_invariants(), "");
}

TEST(KvPages, WhatIsKeptNoLongerIsFreeAfterItsLastHolder) {
  KvPages pages(1);
  const PageId page = *pages.take();
  pages.keep(page);
  pages.unkeep(page);
  pages.release(page);
  EXPECT_EQ(pages.free_count(), 1);
  EXPECT_EQ(pages.check_invariants(), "");
}

TEST(KvPagesDeathTest, MisuseIsCaught) {
  KvPages pages(2);
  EXPECT_DEATH(pages.release(0), "released more often");
  EXPECT_DEATH(pages.hold(0), "free page");
  EXPECT_DEATH(pages.discard(0), "only cached");
  EXPECT_DEATH(pages.unkeep(0), "kept");
  EXPECT_DEATH(pages.holders(2), "page < total");
}

}  // namespace
}  // namespace neuros::sched
