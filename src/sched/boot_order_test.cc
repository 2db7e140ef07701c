#include "sched/boot_order.h"

#include "sched/boot_mode.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

constexpr Demand kNothing{};

Demand work(Priority top = Priority::kMedium) {
  return {.work = true, .top = top};
}

/// Every model that is left, each ready as soon as it is begun.
std::vector<ModelId> rest_of(BootOrder& order) {
  std::vector<ModelId> rest;
  while (const auto model = order.next()) {
    rest.push_back(*model);
    order.finished(*model, true);
  }
  return rest;
}

using Models = std::vector<ModelId>;

TEST(BootOrder, IsTheGivenOneWhereNobodyWaits) {
  BootOrder order({2, 0, 1});
  EXPECT_EQ(rest_of(order), (Models{2, 0, 1}));
  EXPECT_TRUE(order.over());
  EXPECT_EQ(order.next(), std::nullopt) << "each once";
}

TEST(BootOrder, PreparesOneAtATime) {
  BootOrder order({0, 1});
  EXPECT_EQ(order.next(), 0);
  EXPECT_EQ(order.state(0), BootState::kPreparing);
  EXPECT_EQ(order.next(), std::nullopt);
  EXPECT_FALSE(order.over());
  order.finished(0, true);
  EXPECT_EQ(order.state(0), BootState::kReady);
  EXPECT_EQ(order.next(), 1);
}

TEST(BootOrder, ModelsThatSomebodyWaitsForComeFirst) {
  BootOrder order({0, 1, 2, 3});
  EXPECT_EQ(order.next(), 0);
  order.set_demand(3, work());
  order.set_demand(2, work());
  order.finished(0, true);
  EXPECT_EQ(rest_of(order), (Models{3, 2, 1})) << "who came first, then the order";
}

TEST(BootOrder, AmongThoseByThePriorityOfWhoWaits) {
  BootOrder order({0, 1, 2, 3});
  order.set_demand(1, work(Priority::kLow));
  order.set_demand(2, work(Priority::kMedium));
  order.set_demand(3, work(Priority::kCritical));
  EXPECT_EQ(rest_of(order), (Models{3, 2, 1, 0}));
}

TEST(BootOrder, APriorityThatRisesCountsAtOnceAndKeepsItsPlaceInTime) {
  BootOrder order({0, 1, 2});
  order.set_demand(1, work(Priority::kLow));
  order.set_demand(2, work(Priority::kMedium));
  order.set_demand(1, work(Priority::kMedium));
  EXPECT_EQ(rest_of(order), (Models{1, 2, 0}));
}

TEST(BootOrder, WhoWaitsNoMoreIsForgotten) {
  BootOrder order({0, 1, 2});
  order.set_demand(2, work());
  order.set_demand(2, kNothing);
  EXPECT_EQ(rest_of(order), (Models{0, 1, 2}));
}

TEST(BootOrder, ModelsOfTheNextStagesComeBeforeTheRest) {
  BootOrder order({0, 1, 2, 3});
  order.expect(3, true);
  order.expect(2, true);
  order.expect(2, false);
  order.set_demand(1, work(Priority::kLow));
  EXPECT_EQ(rest_of(order), (Models{1, 3, 0, 2}));
}

TEST(BootOrder, AFailureIsOneModelsOwn) {
  BootOrder order({0, 1, 2});
  order.finished(*order.next(), true);
  order.set_demand(1, work());
  order.finished(*order.next(), false);
  EXPECT_EQ(order.state(1), BootState::kFailed);
  EXPECT_EQ(rest_of(order), (Models{2})) << "and is not tried again";
  EXPECT_EQ(order.count(BootState::kReady), 2);
  EXPECT_EQ(order.count(BootState::kFailed), 1);
  EXPECT_TRUE(order.over());
}

/// Random events: every model is begun once, and never while one of a higher class waits.
TEST(BootOrder, RandomEventsKeepItsRules) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto models = static_cast<ModelId>(1 + random() % 8);
    std::vector<ModelId> given(static_cast<size_t>(models));
    std::iota(given.begin(), given.end(), 0);
    std::ranges::shuffle(given, random);
    BootOrder order(given);
    std::vector<Demand> demands(given.size());
    std::map<ModelId, int> begun;
    std::optional<ModelId> now;
    while (!order.over()) {
      const auto model = static_cast<ModelId>(random() % static_cast<uint32_t>(models));
      switch (random() % 4) {
        case 0:
          demands[static_cast<size_t>(model)] =
              random() % 3 == 0 ? kNothing : work(static_cast<Priority>(random() % 3));
          order.set_demand(model, demands[static_cast<size_t>(model)]);
          break;
        case 1:
          order.expect(model, random() % 2 == 0);
          break;
        default:
          if (now) order.finished(*std::exchange(now, std::nullopt), random() % 4 > 0);
          std::vector<ModelId> waiting;
          for (ModelId m = 0; m < models; ++m) {
            if (order.state(m) == BootState::kWaiting) waiting.push_back(m);
          }
          now = order.next();
          if (!now) break;
          ++begun[*now];
          const Demand& chosen = demands[static_cast<size_t>(*now)];
          for (const ModelId other : waiting) {
            const Demand& passed = demands[static_cast<size_t>(other)];
            ASSERT_FALSE(passed.work && !chosen.work) << "seed " << seed;
            ASSERT_FALSE(passed.work && passed.top > chosen.top) << "seed " << seed;
          }
      }
      ASSERT_EQ(order.check_invariants(), "") << "seed " << seed;
    }
    ASSERT_EQ(begun.size(), given.size());
    for (const auto& [model, times] : begun) ASSERT_EQ(times, 1) << "seed " << seed;
  }
}

TEST(BootMode, NamesAreReadAsTheyAreWritten) {
  for (const BootMode mode : {BootMode::kEager, BootMode::kOnDemand}) {
    EXPECT_EQ(boot_mode_from_name(name(mode)), mode);
  }
  EXPECT_EQ(boot_mode_from_name("lazy"), std::nullopt);
  EXPECT_EQ(boot_mode_from_name(""), std::nullopt);
}

}  // namespace
}  // namespace neuros::sched
