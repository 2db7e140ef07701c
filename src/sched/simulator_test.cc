#include "sched/simulator.h"

#include <cstdlib>
#include <iostream>
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
  std::cout << "seeds " << first << ".." << last << ": " << sum.batches << " batches, " << sum.ended
            << " processes ended, " << sum.cancelled << " cancelled, " << sum.refused
            << " refused, " << sum.suspensions << " suspensions, " << sum.tokens_reused
            << " tokens reused, " << sum.overtaken << " overtaken\n";
  if (one) return;
  EXPECT_GT(sum.ended, 10'000U);
  EXPECT_GT(sum.cancelled, 1'000U);
  EXPECT_GT(sum.suspensions, 1'000U);
  EXPECT_GT(sum.tokens_reused, 10'000U);
  EXPECT_GT(sum.overtaken, 1'000U);
}

}  // namespace
}  // namespace neuros::sched
