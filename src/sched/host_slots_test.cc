#include "sched/host_slots.h"

#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

TEST(HostSlots, AreTakenOnceAndComeBack) {
  HostSlots slots(2);
  const auto a = slots.take(), b = slots.take();
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  EXPECT_EQ(slots.take(), std::nullopt);
  EXPECT_EQ(slots.used_count(), 2);
  slots.give_back(*a);
  EXPECT_FALSE(slots.used(*a));
  EXPECT_EQ(slots.take(), a);
  EXPECT_EQ(slots.check_invariants(), "");
}

TEST(HostSlots, NoneIsATierThatTakesNothing) {
  HostSlots slots(0);
  EXPECT_EQ(slots.take(), std::nullopt);
  EXPECT_EQ(slots.check_invariants(), "");
}

TEST(HostSlotsDeathTest, MisuseIsCaught) {
  HostSlots slots(1);
  EXPECT_DEATH(slots.give_back(0), "only a slot in use");
  EXPECT_DEATH(slots.give_back(1), "only a slot in use");
}

}  // namespace
}  // namespace neuros::sched
