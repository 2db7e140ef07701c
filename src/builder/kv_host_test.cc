#include "builder/kv_host.h"

#include "kernels/op_table.h"
#include "plan/plan.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;

/// A plan as far as it matters: KV pages, and where they are.
plan::Plan planned(int32_t pages, int64_t page_bytes, bool on_host) {
  plan::Plan plan;
  plan.kv.pages = pages;
  plan.kv.page_bytes = page_bytes;
  plan.memory.kv = pages * page_bytes;
  plan.memory.arenas_on_host = on_host;
  return plan;
}

plan::Plan granted(const KvHostRequest& request, int64_t host_bytes, plan::Plan plan) {
  EXPECT_TRUE(grant_kv_host(request, host_bytes, {&plan, 1}).has_value());
  return plan;
}

TEST(KvHost, ByDefaultIsNoneOnACpu) {
  const plan::Plan plan = granted({.free_bytes = 900 * kMiB}, 1024 * kMiB, planned(8, kMiB, true));
  EXPECT_EQ(plan.kv.host_pages, 0);
  EXPECT_EQ(plan.memory.kv_host, 0);
  EXPECT_TRUE(plan.reasons.empty());
}

TEST(KvHost, ByDefaultIsAsMuchAsAGpuHasAndAtMostAnEighthOfTheHost) {
  const KvHostRequest request{.free_bytes = 900 * kMiB};
  const plan::Plan all = granted(request, 1024 * kMiB, planned(100, kMiB, false));
  EXPECT_EQ(all.kv.host_pages, 100);
  EXPECT_EQ(all.memory.kv_host, 100 * kMiB);
  EXPECT_THAT(all.reasons, ElementsAre(HasSubstr("100 pages, as much as the pages on the device")));
  const plan::Plan eighth = granted(request, 1024 * kMiB, planned(300, kMiB, false));
  EXPECT_EQ(eighth.kv.host_pages, 128);
  EXPECT_THAT(eighth.reasons, ElementsAre(HasSubstr("an eighth of the host's memory")));
}

TEST(KvHost, ByDefaultIsNoneWhereTheHostHasItNotFree) {
  const plan::Plan plan =
      granted({.free_bytes = 50 * kMiB}, 1024 * kMiB, planned(100, kMiB, false));
  EXPECT_EQ(plan.kv.host_pages, 0);
  EXPECT_THAT(plan.reasons, ElementsAre(HasSubstr("is 100 MiB, and the host has 50 MiB free")));
}

TEST(KvHost, WhatIsAskedForIsGivenInWholePages) {
  const plan::Plan plan = granted({.bytes = 10 * kMiB}, 1024 * kMiB, planned(2, 3 * kMiB, true));
  EXPECT_EQ(plan.kv.host_pages, 3);
  EXPECT_EQ(plan.memory.kv_host, 9 * kMiB);
  const plan::Plan little = granted({.bytes = 1000}, 1024 * kMiB, planned(2, 3 * kMiB, true));
  EXPECT_EQ(little.kv.host_pages, 0);
  EXPECT_THAT(little.reasons, ElementsAre(HasSubstr("less than a page")));
}

TEST(KvHost, IsDividedInProportionToTheModelsPages) {
  std::vector<plan::Plan> models{planned(10, kMiB, false), planned(15, 2 * kMiB, false)};
  ASSERT_TRUE(grant_kv_host({.bytes = 20 * kMiB}, 1024 * kMiB, models));
  EXPECT_EQ(models[0].kv.host_pages, 5);
  EXPECT_EQ(models[1].kv.host_pages, 7) << "15 MiB in pages of two";
}

TEST(KvHost, RefusesWhatTheHostDoesNotHave) {
  plan::Plan plan = planned(10, kMiB, false);
  const auto result = grant_kv_host({.bytes = 2048 * kMiB}, 1024 * kMiB, {&plan, 1});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("2048 MiB of host memory for KV pages, expected at "
                                                "most 896 MiB"));
}

TEST(KvHost, CountsAgainstTheBudgetWhereMemoryIsTheHosts) {
  const kernels::OpTable& cpu = kernels::ref_ops();
  kernels::OpTable gpu = cpu;
  gpu.host_bytes = [](const kernels::OpLimits&) { return int64_t{64}; };
  const KvHostRequest request{.bytes = 10 * kMiB};
  EXPECT_EQ(budget_besides_kv_host(64 * kMiB, request, cpu), 54 * kMiB);
  EXPECT_EQ(budget_besides_kv_host(64 * kMiB, request, gpu), 64 * kMiB);
  EXPECT_EQ(budget_besides_kv_host(64 * kMiB, {}, cpu), 64 * kMiB);
  const auto none_left = budget_besides_kv_host(10 * kMiB, request, cpu);
  ASSERT_FALSE(none_left);
  EXPECT_THAT(none_left.error().message, HasSubstr("leave nothing of the budget of 10 MiB"));
}

}  // namespace
}  // namespace neuros::builder
