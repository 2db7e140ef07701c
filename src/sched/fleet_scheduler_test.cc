#include "sched/fleet_scheduler.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Demand kNone{};
constexpr Demand kLow{.work = true, .top = Priority::kLow};
constexpr Demand kMedium{.work = true, .top = Priority::kMedium};
constexpr Demand kCritical{.work = true, .top = Priority::kCritical};

/// A model of `layers` segments of `frames` each, one to a step.
ModelFacts layered(int32_t layers, int32_t frames) {
  ModelFacts model;
  for (int32_t i = 0; i < layers; ++i) {
    model.segments.push_back({.frames = frames});
    model.steps.push_back({i});
  }
  return model;
}

FleetFacts fleet(int32_t frames, std::vector<ModelFacts> models) {
  return {.frames = frames,
          .loads_in_flight = 100,
          .dwell_us = 1000,
          .wait_us_max = 1'000'000,
          .models = std::move(models)};
}

PagerMove drop(ModelId model, int32_t segment) {
  return {PagerMove::Kind::kDrop, {model, segment}};
}
PagerMove load(ModelId model, int32_t segment) {
  return {PagerMove::Kind::kLoad, {model, segment}};
}

/// Decides, and has all loads done at once; the run, if there is one then.
std::optional<PassRun> settle(FleetScheduler& s, int64_t now_us) {
  for (;;) {
    const Decision decision = s.decide(now_us);
    for (const PagerMove& move : decision.moves) {
      if (move.kind == PagerMove::Kind::kLoad) s.loaded(move.segment, now_us);
    }
    if (decision.run || decision.moves.empty()) return decision.run;
  }
}

TEST(FleetScheduler, LoadsInTheOrderOfStepsAndRunsWhatIsThere) {
  FleetScheduler s(fleet(10, {layered(3, 2)}));
  EXPECT_THAT(s.decide(0).moves, IsEmpty()) << "nobody asked";
  s.set_demand(0, kMedium, 0);
  const Decision first = s.decide(0);
  EXPECT_THAT(first.moves, ElementsAre(load(0, 0), load(0, 1), load(0, 2)));
  EXPECT_FALSE(first.run);
  s.loaded({0, 0}, 10);
  EXPECT_EQ(s.decide(10).run, (PassRun{0, 0, 1})) << "while the others are on their way";
  s.loaded({0, 1}, 20);
  s.loaded({0, 2}, 30);
  s.ran(1, 30);
  EXPECT_EQ(s.decide(30).run, (PassRun{0, 1, 3}));
}

TEST(FleetScheduler, TakesTheTailOfTheModelUsedLongestAgo) {
  FleetScheduler s(fleet(10, {layered(4, 1), layered(4, 1), layered(3, 1)}));
  for (const ModelId m : {0, 1}) {
    s.set_demand(m, kMedium, m);
    const auto run = settle(s, m);
    ASSERT_TRUE(run);
    s.ran(run->end_step, 10 + m);
    s.set_demand(m, kNone, 10 + m);
  }
  s.set_demand(2, kMedium, 20);
  EXPECT_THAT(s.decide(20).moves, ElementsAre(load(2, 0), load(2, 1), drop(0, 3), load(2, 2)));
}

TEST(FleetScheduler, KeepsMostOfAModelThatIsLargerThanTheMemory) {
  FleetFacts facts = fleet(4, {layered(6, 1)});
  facts.loads_in_flight = 2;
  FleetScheduler s(facts);
  s.set_demand(0, kMedium, 0);
  int32_t steps = 0;
  uint64_t loads_before = 0;
  for (int pass = 0; pass < 10; ++pass) {
    if (pass == 5) loads_before = s.stats().loads;
    for (int32_t end = 0; end != 6; ++steps) {
      const auto run = settle(s, steps);
      ASSERT_TRUE(run);
      s.ran(end = run->end_step, steps);
      ASSERT_EQ(s.check_invariants(), "");
    }
  }
  EXPECT_LE(s.stats().loads - loads_before, 5U * 4) << "two do not fit, and two are ahead";
}

TEST(FleetScheduler, ACriticalProcessStopsAPassAndItGoesOnBehindIt) {
  FleetScheduler s(fleet(10, {layered(4, 1), layered(4, 1)}));
  s.set_demand(1, kMedium, 0);
  s.ran(settle(s, 0)->end_step, 1);
  s.set_demand(1, kNone, 1);
  s.set_demand(0, kMedium, 2);
  EXPECT_EQ(settle(s, 2), (PassRun{0, 0, 4}));
  EXPECT_FALSE(s.should_stop(3));
  s.set_demand(1, kMedium, 3);
  EXPECT_FALSE(s.should_stop(3)) << "medium waits for the end of the pass";
  s.set_demand(1, kCritical, 4);
  EXPECT_TRUE(s.should_stop(4));
  s.ran(1, 5);
  EXPECT_EQ(settle(s, 5), (PassRun{1, 0, 4}));
  s.ran(4, 6);
  s.set_demand(1, kNone, 6);
  EXPECT_EQ(settle(s, 6), (PassRun{0, 1, 4}));
  EXPECT_EQ(s.stats().suspensions, 1U);
}

TEST(FleetScheduler, MemoryStaysForTheDwellTime) {
  FleetScheduler s(fleet(4, {layered(4, 1), layered(4, 1)}));
  s.set_demand(0, kMedium, 0);
  EXPECT_EQ(settle(s, 0), (PassRun{0, 0, 4}));
  s.set_demand(1, kMedium, 10);
  s.ran(4, 20);
  EXPECT_EQ(settle(s, 20), (PassRun{0, 0, 4})) << "its time is not over";
  s.ran(4, 1020);
  EXPECT_EQ(settle(s, 1020), (PassRun{1, 0, 4}));
  s.ran(4, 1040);
  s.set_demand(0, kCritical, 1040);
  EXPECT_EQ(settle(s, 1040), (PassRun{0, 0, 4})) << "the time does not count against higher ones";
}

TEST(FleetScheduler, TheTimeBeginsWhenAllIsThereAndIsNoShorterThanTheLoads) {
  FleetScheduler s(fleet(4, {layered(4, 1), layered(4, 1)}));
  s.set_demand(0, kMedium, 0);
  s.set_demand(1, kMedium, 0);
  EXPECT_EQ(s.decide(0).moves.size(), 4U);
  s.loaded({0, 0}, 1000);
  EXPECT_EQ(s.decide(1000).run, (PassRun{0, 0, 1})) << "what is there runs meanwhile";
  s.ran(1, 2500);
  for (int32_t i = 1; i < 4; ++i) s.loaded({0, i}, 3000);
  EXPECT_EQ(s.decide(3000).run, (PassRun{0, 1, 4})) << "it is still its turn";
  s.ran(4, 5900);
  EXPECT_EQ(settle(s, 5900), (PassRun{0, 0, 4})) << "3000 us for loads that took 3000";
  s.ran(4, 6000);
  EXPECT_EQ(settle(s, 6000), (PassRun{1, 0, 4}));
}

TEST(FleetScheduler, WhoIsThereRunsInTurns) {
  FleetScheduler s(fleet(8, {layered(4, 1), layered(4, 1)}));
  s.set_demand(0, kMedium, 0);
  s.set_demand(1, kMedium, 0);
  std::vector<ModelId> order;
  for (int64_t now = 0; now < 6; ++now) {
    const auto run = settle(s, now);
    order.push_back(run->model);
    s.ran(run->end_step, now);
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 0, 1, 0, 1));
}

TEST(FleetScheduler, WhoWaitedTooLongRunsThoughOthersAreMoreUrgent) {
  FleetScheduler s(fleet(4, {layered(4, 1), layered(4, 1)}));
  s.set_demand(0, kCritical, 0);
  s.set_demand(1, kLow, 0);
  EXPECT_EQ(settle(s, 0), (PassRun{0, 0, 4}));
  s.ran(4, 1'000'000);
  EXPECT_EQ(settle(s, 1'000'000), (PassRun{1, 0, 4}));
  EXPECT_FALSE(s.should_stop(1'000'001)) << "it has its time";
  EXPECT_TRUE(s.should_stop(1'001'001));
}

TEST(FleetScheduler, ManyThatWaitedTooLongDoNotOverturnPriorities) {
  FleetScheduler s(fleet(4, {layered(4, 1), layered(4, 1), layered(4, 1)}));
  s.set_demand(0, kLow, 0);
  s.set_demand(1, kLow, 0);
  s.set_demand(2, kCritical, 5'000'000);
  EXPECT_EQ(settle(s, 5'000'000), (PassRun{0, 0, 4})) << "one of the two";
  s.ran(4, 5'002'000);
  EXPECT_EQ(settle(s, 5'002'000), (PassRun{2, 0, 4}));
  s.ran(4, 5'999'999);
  EXPECT_EQ(settle(s, 5'999'999), (PassRun{2, 0, 4}));
  s.ran(4, 6'000'000);
  EXPECT_EQ(settle(s, 6'000'000), (PassRun{1, 0, 4})) << "the other, a second behind the first";
}

TEST(FleetScheduler, WhoIsExpectedComesIntoMemoryThatNobodyNeeds) {
  FleetScheduler s(fleet(6, {layered(4, 1), layered(4, 1), layered(2, 1)}));
  s.set_demand(2, kMedium, 0);
  s.ran(settle(s, 0)->end_step, 1);
  s.set_demand(2, kNone, 1);
  s.set_demand(0, kMedium, 2);
  EXPECT_TRUE(settle(s, 2));
  s.expect(1, true, 3);
  EXPECT_THAT(s.decide(3).moves, ElementsAre(drop(2, 1), load(1, 0), drop(2, 0), load(1, 1)))
      << "and not what the running model has";
}

TEST(FleetScheduler, AModelWhoseWeightsDoNotComeWaitsForNewWork) {
  FleetScheduler s(fleet(4, {layered(1, 4), layered(1, 4)}));
  s.set_demand(0, kMedium, 0);
  s.set_demand(1, kMedium, 0);
  EXPECT_THAT(s.decide(0).moves, ElementsAre(load(0, 0)));
  s.load_failed({0, 0}, 1);
  EXPECT_THAT(s.decide(1).moves, ElementsAre(load(1, 0)));
  s.loaded({1, 0}, 2);
  EXPECT_EQ(s.decide(2).run, (PassRun{1, 0, 1}));
  s.ran(1, 3);
  s.set_demand(1, kNone, 3);
  EXPECT_THAT(s.decide(4).moves, IsEmpty());
  s.set_demand(0, kNone, 5);
  s.set_demand(0, kMedium, 6);
  EXPECT_THAT(s.decide(6).moves, ElementsAre(drop(1, 0), load(0, 0)));
}

TEST(FleetScheduler, AModelThatIsNotPreparedHoldsNobodyUp) {
  FleetFacts facts = fleet(4, {layered(1, 2), layered(1, 2), layered(1, 2)});
  facts.models[1].segments[0].pinned = true;
  FleetScheduler s(facts);
  s.await_preparation(1);
  s.await_preparation(2);
  s.set_demand(1, kCritical, 0);
  s.expect(2, true, 0);
  s.set_demand(0, kLow, 0);
  EXPECT_THAT(s.decide(0).moves, ElementsAre(load(0, 0))) << "nothing of the others";
  s.loaded({0, 0}, 1);
  EXPECT_EQ(s.decide(1).run, (PassRun{0, 0, 1}));
  EXPECT_FALSE(s.should_stop(1)) << "for somebody who cannot run";
  EXPECT_TRUE(s.waits_for_weights(1));
  EXPECT_FALSE(s.waits_for_weights(2)) << "nobody waits for it";
  EXPECT_EQ(s.check_invariants(), "");
  s.ran(1, 2);
}

TEST(FleetScheduler, AModelThatWasPreparedIsAsOneThatAlwaysWas) {
  FleetFacts facts = fleet(4, {layered(1, 2), layered(1, 2)});
  facts.wait_us_max = 50;
  FleetScheduler s(facts);
  s.await_preparation(1);
  s.set_demand(0, kCritical, 0);
  s.set_demand(1, kLow, 0);
  EXPECT_EQ(settle(s, 0), (PassRun{0, 0, 1}));
  s.prepared(1, 100);
  s.ran(1, 100);
  EXPECT_EQ(settle(s, 101), (PassRun{0, 0, 1})) << "the preparation makes nobody overdue";
  s.ran(1, 102);
  s.set_demand(0, kNone, 102);
  EXPECT_EQ(settle(s, 102), (PassRun{1, 0, 1}));
  EXPECT_FALSE(s.waits_for_weights(1));
}

TEST(FleetScheduler, SaysWhyAFleetCannotRun) {
  EXPECT_EQ(check_feasible(fleet(4, {layered(4, 1)})), "");
  EXPECT_EQ(check_feasible(fleet(4, {layered(1, 5)})),
            "model 0: step 0 needs 5 frames with what is pinned, of 4");
  FleetFacts pinned = fleet(4, {layered(2, 2), layered(1, 1)});
  pinned.models[0].segments[0].pinned = pinned.models[0].segments[1].pinned = true;
  EXPECT_EQ(check_feasible(pinned), "model 1: step 0 needs 5 frames with what is pinned, of 4");
}

}  // namespace
}  // namespace neuros::sched
