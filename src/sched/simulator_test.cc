#include "sched/simulator.h"

#include "base/testing/sanitizers.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

constexpr uint64_t kSeeds = base::testing::kSanitized ? 1'000 : 10'000;

/// NEUROS_SEED=n repeats one workload.
TEST(Simulator, RandomWorkloadsKeepEveryRule) {
  const char* const one = std::getenv("NEUROS_SEED");
  const uint64_t first = one ? std::stoull(one) : 1;
  const uint64_t last = one ? first : kSeeds;
  SimulationReport sum;
  for (uint64_t seed = first; seed <= last; ++seed) {
    const SimulationReport report = simulate(seed);
    ASSERT_EQ(report.error, "") << "repeat with NEUROS_SEED=" << seed;
    sum.batches += report.batches;
    sum.ended += report.ended;
    sum.cancelled += report.cancelled;
    sum.refused += report.refused;
    sum.suspensions += report.suspensions;
    sum.tokens_reused += report.tokens_reused;
    sum.overtaken += report.overtaken;
    sum.failed += report.failed;
    sum.swapped_out += report.swapped_out;
    sum.swapped_in += report.swapped_in;
    sum.roomy += report.roomy;
  }
  std::printf(
      "seeds %lu..%lu: %lu batches, %lu processes ended, %lu cancelled, %lu refused, "
      "%lu failed with their batch, %lu suspensions, %lu tokens reused, %lu pages swapped out and "
      "%lu in, %lu overtaken; %lu workloads computed nothing twice\n",
      first, last, sum.batches, sum.ended, sum.cancelled, sum.refused, sum.failed, sum.suspensions,
      sum.tokens_reused, sum.swapped_out, sum.swapped_in, sum.overtaken, sum.roomy);
  if (one) return;
  EXPECT_GT(sum.ended, 3 * kSeeds);
  EXPECT_GT(sum.cancelled, kSeeds / 4);
  EXPECT_GT(sum.suspensions, kSeeds / 4);
  EXPECT_GT(sum.tokens_reused, 3 * kSeeds);
  EXPECT_GT(sum.overtaken, kSeeds / 4);
  EXPECT_GT(sum.failed, kSeeds / 4);
  EXPECT_GT(sum.swapped_out, 10 * kSeeds);
  EXPECT_GT(sum.swapped_in, kSeeds);
  EXPECT_GT(sum.roomy, kSeeds / 4);
}

struct Planted {
  SimulationBug bug;
  const char* name;
  const char* noticed;  ///< in the text of the rule that notices it
};

class SimulatorBugs : public testing::TestWithParam<Planted> {};

TEST_P(SimulatorBugs, IsNoticed) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const SimulationReport report = simulate(seed, GetParam().bug);
    if (report.error.find(GetParam().noticed) != std::string::npos) return;
  }
  FAIL() << "2000 workloads, and no rule noticed it";
}

INSTANTIATE_TEST_SUITE_P(
    Simulator, SimulatorBugs,
    testing::Values(
        Planted{SimulationBug::kHostTierTooLarge, "HostTierTooLarge", "more in the host tier"},
        Planted{SimulationBug::kForgetfulTier, "ForgetfulTier", "a page is computed again"},
        Planted{SimulationBug::kForgetfulTier, "ForgetfulOfParts", "own tokens are computed again"},
        Planted{SimulationBug::kSkippedOut, "SkippedOut", "moves in nothing"},
        Planted{SimulationBug::kSkippedIn, "SkippedIn", "page holds something else"},
        Planted{SimulationBug::kInsFirst, "InsFirst", "page holds something else"},
        Planted{SimulationBug::kMovesReversed, "MovesReversed", "page holds something else"},
        Planted{SimulationBug::kMovesTooLate, "MovesTooLate", "page holds something else"},
        Planted{SimulationBug::kWrongSlot, "WrongSlot", "page holds something else"},
        Planted{SimulationBug::kSharedSlot, "SharedSlot", "page holds something else"},
        Planted{SimulationBug::kTornMove, "TornMove", "page holds something else"},
        Planted{SimulationBug::kFailureIsSuccess, "FailureIsSuccess", "holds something else"},
        Planted{SimulationBug::kAllIsPrompt, "AllIsPrompt", "as a prompt what it had generated"},
        Planted{SimulationBug::kNoPriorities, "NoPriorities", "waits for lower priorities"},
        Planted{SimulationBug::kTwistedPriorities, "TwistedPriorities", "was passed over"},
        Planted{SimulationBug::kNoRescue, "NoRescue", "overdue and not rescued"},
        Planted{SimulationBug::kEarlyRescue, "EarlyRescue", "rescued too soon"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace neuros::sched
