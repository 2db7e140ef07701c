#include "sched/simulator.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

/// NEUROS_SEED=n repeats one workload.
TEST(Simulator, RandomWorkloadsKeepEveryRule) {
  const char* const one = std::getenv("NEUROS_SEED");
  const uint64_t first = one ? std::stoull(one) : 1;
  const uint64_t last = one ? first : 4000;
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
  }
  std::printf(
      "seeds %lu..%lu: %lu batches, %lu processes ended, %lu cancelled, %lu refused, "
      "%lu suspensions, %lu tokens reused, %lu overtaken\n",
      first, last, sum.batches, sum.ended, sum.cancelled, sum.refused, sum.suspensions,
      sum.tokens_reused, sum.overtaken);
  if (one) return;
  EXPECT_GT(sum.ended, 10'000U);
  EXPECT_GT(sum.cancelled, 1'000U);
  EXPECT_GT(sum.suspensions, 1'000U);
  EXPECT_GT(sum.tokens_reused, 10'000U);
  EXPECT_GT(sum.overtaken, 1'000U);
}

}  // namespace
}  // namespace neuros::sched
