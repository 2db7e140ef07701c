#include "sched/fleet_simulator.h"

#include "base/testing/sanitizers.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

constexpr uint64_t kSeeds = base::testing::kSanitized ? 1'000 : 10'000;

/// NEUROS_SEED=n repeats one fleet.
TEST(FleetSimulator, RandomFleetsKeepEveryRule) {
  const char* const one = std::getenv("NEUROS_SEED");
  const uint64_t first = one ? std::stoull(one) : 1;
  const uint64_t last = one ? first : kSeeds;
  FleetReport sum;
  for (uint64_t seed = first; seed <= last; ++seed) {
    const FleetReport report = simulate_fleet(seed);
    ASSERT_EQ(report.error, "") << "repeat with NEUROS_SEED=" << seed;
    sum.runs += report.runs;
    sum.loads += report.loads;
    sum.drops += report.drops;
    sum.failed_loads += report.failed_loads;
    sum.suspensions += report.suspensions;
    sum.ended += report.ended;
    sum.cancelled += report.cancelled;
    sum.failed += report.failed;
    sum.streamed += report.streamed;
  }
  std::printf(
      "seeds %lu..%lu: %lu runs, %lu loads (%lu failed), %lu drops, %lu passes suspended, %lu "
      "processes ended, %lu cancelled, %lu failed with their model; %lu fleets with a model larger "
      "than the memory\n",
      first, last, sum.runs, sum.loads, sum.failed_loads, sum.drops, sum.suspensions, sum.ended,
      sum.cancelled, sum.failed, sum.streamed);
  if (one) return;
  EXPECT_GT(sum.ended, 10 * kSeeds);
  EXPECT_GT(sum.drops, 10 * kSeeds);
  EXPECT_GT(sum.suspensions, kSeeds / 10);
  EXPECT_GT(sum.failed, kSeeds / 10);
  EXPECT_GT(sum.cancelled, kSeeds / 10);
  EXPECT_GT(sum.streamed, kSeeds / 10);
}

TEST(FleetSimulator, EqualSeedsGiveEqualRuns) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    EXPECT_EQ(simulate_fleet(seed).trace, simulate_fleet(seed).trace) << seed;
  }
  EXPECT_NE(simulate_fleet(1).trace, simulate_fleet(2).trace);
}

struct Planted {
  FleetBug bug;
  const char* name;
  const char* noticed;  ///< in the text of the rule that notices it
};

class PlantedBugs : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBugs, IsNoticed) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const FleetReport report = simulate_fleet(seed, GetParam().bug);
    if (report.error.find(GetParam().noticed) != std::string::npos) return;
  }
  FAIL() << "2000 fleets, and no rule noticed it";
}

INSTANTIATE_TEST_SUITE_P(
    FleetSimulator, PlantedBugs,
    testing::Values(Planted{FleetBug::kLoadBeforeDrop, "LoadBeforeDrop", "over-committed"},
                    Planted{FleetBug::kSkippedDrop, "SkippedDrop", "over-committed"},
                    Planted{FleetBug::kNeedlessDrop, "NeedlessDrop", "dropped more than needed"},
                    Planted{FleetBug::kDropInUse, "DropInUse", "drops a segment in use"},
                    Planted{FleetBug::kDropPinned, "DropPinned", "drops a pinned segment"},
                    Planted{FleetBug::kDoubleLoad, "DoubleLoad", "loads what is there"},
                    Planted{FleetBug::kRunTooFar, "RunTooFar", "weights are not there"},
                    Planted{FleetBug::kFailureIsSuccess, "FailureIsSuccess",
                            "weights are not there"},
                    Planted{FleetBug::kDeafToCritical, "DeafToCritical", "nobody yields"},
                    Planted{FleetBug::kForgottenModel, "ForgottenModel", "work that nobody does"},
                    Planted{FleetBug::kNoPriorities, "NoPriorities", "was passed over"},
                    Planted{FleetBug::kNoRescue, "NoRescue", "overdue and not rescued"},
                    Planted{FleetBug::kSlowLoads, "SlowLoads", "starves"},
                    Planted{FleetBug::kEarlyRescue, "EarlyRescue", "rescued too soon"},
                    Planted{FleetBug::kNoDwell, "NoDwell", "lost its turn too soon"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace neuros::sched
