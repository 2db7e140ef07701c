#include "sched/scheduler.h"

#include <numeric>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::sched {
namespace {

using testing::ElementsAre;

SchedulerLimits small_limits() {
  return {.context = 64,
          .batch_tokens = 8,
          .sequences = 4,
          .logit_rows = 4,
          .pages = 16,
          .page_tokens = 4,
          .queue = 8,
          .wait_us_max = 1000};
}

/// Tokens first, first + 1, ...
std::vector<TokenId> counting(TokenId first, size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Arrival arrival(ProcessId id, std::vector<TokenId> prompt, int32_t max_new_tokens) {
  return {.id = id, .prompt = std::move(prompt), .max_new_tokens = max_new_tokens};
}

/// Answers a batch: token 7 for whoever asks.
void answer(Scheduler& scheduler, const Batch& batch, int64_t now_us = 0) {
  std::vector<ItemResult> results;
  for (const BatchItem& item : batch.items) {
    results.push_back(item.logits_last ? ItemResult{.token = 7} : ItemResult{});
  }
  scheduler.batch_done(results, now_us);
  ASSERT_EQ(scheduler.check_invariants(), "");
}

/// {id, first position, rows} of every item.
using Row = std::tuple<ProcessId, int32_t, size_t>;
std::vector<Row> rows_of(const Batch& batch) {
  std::vector<Row> rows;
  for (const BatchItem& item : batch.items) {
    rows.emplace_back(item.id, item.first_position, item.tokens.size());
  }
  return rows;
}

/// The next batch's rows; answers it.
std::vector<Row> step(Scheduler& scheduler, int64_t now_us = 0) {
  const auto batch = scheduler.next_batch(now_us);
  if (!batch) return {};
  answer(scheduler, *batch, now_us);
  return rows_of(*batch);
}

TEST(Scheduler, CutsAPromptIntoChunksAndThenDecodes) {
  Scheduler s(small_limits());
  ASSERT_EQ(s.arrive(arrival(1, counting(0, 11), 2), 0), Admission::kQueued);
  auto batch = s.next_batch(0);
  ASSERT_TRUE(batch);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{1, 0, 8}));
  EXPECT_FALSE(batch->items[0].logits_last);
  EXPECT_EQ(batch->items[0].pages.size(), 2U);
  answer(s, *batch);
  batch = s.next_batch(0);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{1, 8, 3}));
  EXPECT_TRUE(batch->items[0].logits_last);
  answer(s, *batch);
  EXPECT_EQ(s.info(1)->generated_tokens, 1);
  batch = s.next_batch(0);
  EXPECT_THAT(batch->items[0].tokens, ElementsAre(7));
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{1, 11, 1}));
  answer(s, *batch);
  EXPECT_FALSE(s.info(1)) << "max_new_tokens reached";
  EXPECT_FALSE(s.next_batch(0));
}

TEST(Scheduler, DecodesEveryoneBeforeItFillsUpWithPrompts) {
  Scheduler s(small_limits());
  s.arrive(arrival(1, counting(0, 3), 9), 0);
  s.arrive(arrival(2, counting(10, 3), 9), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 0, 3}, Row{2, 0, 3}));
  s.arrive(arrival(3, counting(20, 20), 9), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 3, 1}, Row{2, 3, 1}, Row{3, 0, 6}));
  EXPECT_THAT(step(s), ElementsAre(Row{1, 4, 1}, Row{2, 4, 1}, Row{3, 6, 6}));
}

TEST(Scheduler, ABatchMayBeAskedToBeSmaller) {
  Scheduler s(small_limits());
  s.arrive(arrival(1, counting(0, 3), 9), 0);
  step(s);
  s.arrive(arrival(2, counting(20, 20), 9), 0);
  const auto batch = s.next_batch(0, 6);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{1, 3, 1}, Row{2, 0, 5}));
  answer(s, *batch);
  const auto least = s.next_batch(0, 1);
  EXPECT_THAT(rows_of(*least), ElementsAre(Row{1, 4, 1}, Row{2, 5, 3})) << "all places have a row";
}

TEST(Scheduler, FinishedEndsAProcessWithoutAToken) {
  Scheduler s(small_limits());
  s.arrive(arrival(1, counting(0, 3), 9), 0);
  ASSERT_TRUE(s.next_batch(0));
  const ItemResult end{.token = std::nullopt, .finished = true};
  s.batch_done({&end, 1}, 0);
  EXPECT_FALSE(s.info(1));
  EXPECT_EQ(s.stats().pages_free, 16);
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
  SchedulerLimits limits = small_limits();
  limits.pages = 4;
  Scheduler s(limits);
  EXPECT_EQ(s.arrive(arrival(1, counting(0, 60), 5), 0), Admission::kTooLong) << "context";
  EXPECT_EQ(s.arrive(arrival(2, counting(0, 16), 2), 0), Admission::kTooLong) << "pages";
  EXPECT_EQ(s.arrive(arrival(3, counting(0, 16), 1), 0), Admission::kQueued)
      << "the last new token needs no place";
  EXPECT_THAT(step(s), ElementsAre(Row{3, 0, 8}));
  EXPECT_THAT(step(s), ElementsAre(Row{3, 8, 8}));
  EXPECT_FALSE(s.info(3));
}

TEST(Scheduler, RefusesWhenTheQueueIsFull) {
  SchedulerLimits limits = small_limits();
  limits.queue = 2;
  Scheduler s(limits);
  EXPECT_EQ(s.arrive(arrival(1, {1}, 1), 0), Admission::kQueued);
  EXPECT_EQ(s.arrive(arrival(2, {1}, 1), 0), Admission::kQueued);
  EXPECT_EQ(s.arrive(arrival(3, {1}, 1), 0), Admission::kQueueFull);
  EXPECT_FALSE(s.info(3));
  step(s);
  EXPECT_EQ(s.arrive(arrival(3, {1}, 1), 0), Admission::kQueued);
}

TEST(Scheduler, ReusesFullPagesOfEarlierPromptsAndAnswers) {
  Scheduler s(small_limits());
  auto prompt = counting(0, 7);
  s.arrive(arrival(1, prompt, 3), 0);
  while (s.info(1)) step(s);
  EXPECT_EQ(s.stats().pages_cached, 2) << "7 prompt tokens and 2 of the answer, in pages of 4";
  prompt.insert(prompt.end(), {7, 7, 7, 5});
  s.arrive(arrival(2, prompt, 3), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{2, 8, 3}));
  EXPECT_EQ(s.info(2)->cached_tokens, 8);
  EXPECT_EQ(s.stats().tokens_reused, 8U);
}

TEST(Scheduler, AlwaysComputesTheLastPromptToken) {
  Scheduler s(small_limits());
  s.arrive(arrival(1, counting(0, 8), 1), 0);
  step(s);
  s.arrive(arrival(2, counting(0, 8), 1), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{2, 4, 4}));
}

TEST(Scheduler, SharesPagesThatAnotherIsStillComputing) {
  Scheduler s(small_limits());
  s.arrive(arrival(1, counting(0, 17), 2), 0);
  s.arrive(arrival(2, counting(0, 17), 2), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 0, 8}));
  EXPECT_THAT(step(s), ElementsAre(Row{1, 8, 8}));
  EXPECT_THAT(step(s), ElementsAre(Row{1, 16, 1}, Row{2, 16, 1}));
  EXPECT_EQ(s.stats().pages_used, 6) << "four shared, one each";
}

TEST(Scheduler, MergesPagesThatTwoComputedAtOnce) {
  SchedulerLimits limits = small_limits();
  limits.batch_tokens = 16;
  Scheduler s(limits);
  s.arrive(arrival(1, counting(0, 6), 5), 0);
  s.arrive(arrival(2, counting(0, 6), 5), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 0, 6}, Row{2, 0, 6}));
  EXPECT_EQ(s.stats().pages_used, 3);
  const auto batch = s.next_batch(0);
  EXPECT_EQ(batch->items[0].pages[0], batch->items[1].pages[0]);
  EXPECT_NE(batch->items[0].pages[1], batch->items[1].pages[1]);
}

TEST(Scheduler, ScoringGetsEveryRowOnceWithinTheLogitRows) {
  Scheduler s(small_limits());
  Arrival scoring = arrival(1, counting(0, 10), 0);
  scoring.prompt_logits = true;
  s.arrive(scoring, 0);
  for (const Row& expected : {Row{1, 0, 4}, Row{1, 4, 4}, Row{1, 8, 2}}) {
    const auto batch = s.next_batch(0);
    ASSERT_TRUE(batch);
    EXPECT_THAT(rows_of(*batch), ElementsAre(expected));
    EXPECT_TRUE(batch->items[0].logits_all);
    EXPECT_FALSE(batch->items[0].logits_last);
    answer(s, *batch);
  }
  EXPECT_FALSE(s.info(1));
  s.arrive(scoring, 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 0, 4})) << "no reuse: its logits are wanted";
}

Arrival urgent(Arrival arrival, Priority priority) {
  arrival.priority = priority;
  return arrival;
}

SchedulerLimits one_place() {
  SchedulerLimits limits = small_limits();
  limits.sequences = 1;
  return limits;
}

TEST(Scheduler, PrioritiesComeFirstAndOneThatWaitedTooLongBeforeThem) {
  Scheduler s(one_place());
  s.arrive(urgent(arrival(1, {1}, 1), Priority::kLow), 0);
  s.arrive(urgent(arrival(2, {1}, 1), Priority::kMedium), 10);
  s.arrive(urgent(arrival(3, {1}, 1), Priority::kCritical), 20);
  s.arrive(urgent(arrival(4, {1}, 1), Priority::kCritical), 30);
  EXPECT_THAT(step(s, 999), ElementsAre(Row{3, 0, 1}));
  EXPECT_THAT(step(s, 1000), ElementsAre(Row{1, 0, 1})) << "waited 1000 us";
  EXPECT_THAT(step(s, 1000), ElementsAre(Row{4, 0, 1}));
  EXPECT_THAT(step(s, 1000), ElementsAre(Row{2, 0, 1}));
}

TEST(Scheduler, ABacklogOverturnsNoPriority) {
  Scheduler s(one_place());
  for (ProcessId id = 1; id <= 6; ++id) {
    s.arrive(urgent(arrival(id, {1}, 1), Priority::kLow), 0);
  }
  s.arrive(urgent(arrival(7, {1}, 1), Priority::kCritical), 5000);
  s.arrive(urgent(arrival(8, {1}, 1), Priority::kCritical), 5000);
  EXPECT_THAT(step(s, 5000), ElementsAre(Row{1, 0, 1})) << "one of those who are overdue";
  EXPECT_THAT(step(s, 5001), ElementsAre(Row{7, 0, 1}));
  EXPECT_THAT(step(s, 6000), ElementsAre(Row{2, 0, 1})) << "the next, 1000 us behind the first";
  EXPECT_THAT(step(s, 6001), ElementsAre(Row{8, 0, 1}));
}

TEST(Scheduler, AHigherPriorityTakesThePlaceOfOneThatRuns) {
  Scheduler s(one_place());
  s.arrive(urgent(arrival(1, counting(0, 4), 9), Priority::kLow), 0);
  EXPECT_THAT(step(s, 0), ElementsAre(Row{1, 0, 4}));
  EXPECT_THAT(step(s, 1), ElementsAre(Row{1, 4, 1}));
  s.arrive(urgent(arrival(2, counting(20, 3), 2), Priority::kCritical), 2);
  s.arrive(urgent(arrival(3, counting(30, 3), 1), Priority::kMedium), 2);
  EXPECT_THAT(step(s, 2), ElementsAre(Row{2, 0, 3}));
  EXPECT_EQ(s.stats().suspensions, 1U);
  EXPECT_THAT(step(s, 3), ElementsAre(Row{2, 3, 1})) << "and nobody takes it from a higher one";
  EXPECT_THAT(step(s, 4), ElementsAre(Row{3, 0, 3}));
  EXPECT_THAT(step(s, 5), ElementsAre(Row{1, 5, 1})) << "nothing of it was lost";
  EXPECT_EQ(s.stats().suspensions, 1U);
}

TEST(Scheduler, AHigherPriorityTakesThePagesItNeeds) {
  SchedulerLimits limits = small_limits();
  limits.pages = 4;
  Scheduler s(limits);
  s.arrive(urgent(arrival(1, counting(0, 7), 9), Priority::kLow), 0);
  EXPECT_THAT(step(s, 0), ElementsAre(Row{1, 0, 7}));
  s.arrive(urgent(arrival(2, counting(20, 8), 1), Priority::kLow), 1);
  EXPECT_THAT(step(s, 1), ElementsAre(Row{1, 7, 1})) << "equals wait";
  s.arrive(urgent(arrival(3, counting(40, 8), 1), Priority::kMedium), 2);
  EXPECT_THAT(step(s, 2), ElementsAre(Row{3, 0, 8}));
  EXPECT_EQ(s.stats().suspensions, 1U);
}

TEST(Scheduler, TwoPlacesGoToTwoAtOnceThoughAllRowsAreTaken) {
  SchedulerLimits limits = small_limits();
  limits.sequences = limits.batch_tokens = 2;
  Scheduler s(limits);
  s.arrive(urgent(arrival(1, {1}, 9), Priority::kLow), 0);
  s.arrive(urgent(arrival(2, {2}, 9), Priority::kMedium), 0);
  step(s, 0);
  EXPECT_THAT(step(s, 1), ElementsAre(Row{2, 1, 1}, Row{1, 1, 1}));
  s.arrive(urgent(arrival(3, {3}, 1), Priority::kCritical), 2);
  s.arrive(urgent(arrival(4, {4}, 1), Priority::kCritical), 2);
  EXPECT_THAT(step(s, 2), ElementsAre(Row{3, 0, 1}, Row{4, 0, 1}));
  EXPECT_EQ(s.stats().suspensions, 2U);
}

TEST(Scheduler, WhoIsRescuedTakesThePlaceOfWhoPassedItAndKeepsIt) {
  Scheduler s(one_place());
  s.arrive(urgent(arrival(1, {1}, 3), Priority::kLow), 0);
  s.arrive(urgent(arrival(2, {2}, 9), Priority::kMedium), 1);
  EXPECT_THAT(step(s, 1), ElementsAre(Row{2, 0, 1}));
  EXPECT_THAT(step(s, 1000), ElementsAre(Row{1, 0, 1}));
  s.arrive(urgent(arrival(3, {3}, 1), Priority::kCritical), 1001);
  EXPECT_THAT(step(s, 1001), ElementsAre(Row{1, 1, 1}));
  EXPECT_THAT(step(s, 1002), ElementsAre(Row{1, 2, 1}));
  EXPECT_THAT(step(s, 1003), ElementsAre(Row{3, 0, 1}));
}

TEST(Scheduler, WhoIsRescuedWaitsForTheEndOfACriticalOne) {
  Scheduler s(one_place());
  s.arrive(urgent(arrival(1, {1}, 1), Priority::kLow), 0);
  s.arrive(urgent(arrival(2, {2}, 3), Priority::kCritical), 900);
  EXPECT_THAT(step(s, 900), ElementsAre(Row{2, 0, 1}));
  EXPECT_THAT(step(s, 1000), ElementsAre(Row{2, 1, 1}));
  EXPECT_TRUE(s.info(1)->rescued);
  s.arrive(urgent(arrival(3, {3}, 1), Priority::kCritical), 1001);
  EXPECT_THAT(step(s, 1001), ElementsAre(Row{2, 2, 1}));
  EXPECT_THAT(step(s, 1002), ElementsAre(Row{1, 0, 1}));
  EXPECT_THAT(step(s, 1003), ElementsAre(Row{3, 0, 1}));
}

TEST(Scheduler, TheYoungestOfTheLowestPriorityGivesItsPagesUp) {
  SchedulerLimits limits = small_limits();
  limits.pages = 6;
  Scheduler s(limits);
  auto with = [](ProcessId id, Priority priority) {
    Arrival a = arrival(id, counting(10 * static_cast<TokenId>(id), 4), 12);
    a.priority = priority;
    return a;
  };
  s.arrive(with(1, Priority::kLow), 0);
  s.arrive(with(2, Priority::kMedium), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{2, 0, 4}, Row{1, 0, 4}));
  for (int i = 0; i < 8; ++i) step(s);
  EXPECT_EQ(s.stats().pages_used, 6);
  EXPECT_EQ(s.stats().suspensions, 0U);
  const auto batch = s.next_batch(0);
  EXPECT_EQ(s.stats().suspensions, 1U);
  EXPECT_EQ(s.stats().waiting, 1);
  EXPECT_EQ(s.info(1)->generated_tokens, 9);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{2, 12, 1}));
  answer(s, *batch);
  while (s.info(2)) step(s);
  const auto again = s.next_batch(0);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->items[0].first_position + static_cast<int32_t>(again->items[0].tokens.size()),
            13)
      << "4 of the prompt and 9 of the answer";
  EXPECT_TRUE(again->items[0].logits_last);
  EXPECT_EQ(s.info(1)->cached_tokens, 0) << "recomputation is no reuse";
}

TEST(Scheduler, WhatWasGeneratedIsComputedAgainStepByStepWhereThatDiffers) {
  SchedulerLimits limits = one_place();
  limits.pages = 3;
  limits.decodes_differ = true;
  Scheduler s(limits);
  s.arrive(urgent(arrival(1, counting(0, 6), 6), Priority::kLow), 0);
  for (int i = 0; i < 4; ++i) step(s);
  s.arrive(urgent(arrival(2, counting(20, 12), 1), Priority::kCritical), 0);
  while (s.info(2)) step(s);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 0, 6})) << "nothing of it is left; the prompt";
  const auto batch = s.next_batch(0);
  ASSERT_TRUE(batch);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{1, 6, 1}));
  EXPECT_TRUE(batch->items[0].decodes);
  EXPECT_FALSE(batch->items[0].logits_last) << "its next token is known";
  answer(s, *batch);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 7, 1}));
  EXPECT_THAT(step(s), ElementsAre(Row{1, 8, 1}));
  EXPECT_EQ(s.info(1)->generated_tokens, 4);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 9, 1}));
  EXPECT_EQ(s.info(1)->generated_tokens, 5);
}

TEST(Scheduler, AdmitsOnlyBesidesAPageForEachToGrowInto) {
  SchedulerLimits limits = small_limits();
  limits.pages = 4;
  Scheduler s(limits);
  s.arrive(arrival(1, counting(0, 8), 9), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 0, 8}));
  s.arrive(arrival(2, counting(20, 4), 1), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{1, 8, 1})) << "1 has three pages and may want the fourth";
  while (s.info(1)) step(s);
  EXPECT_THAT(step(s), ElementsAre(Row{2, 0, 4}));
  EXPECT_EQ(s.stats().suspensions, 0U);
}

TEST(Scheduler, PromptLogitsAreNotAskedForAgainAfterASuspension) {
  SchedulerLimits limits = small_limits();
  limits.pages = 4;
  limits.page_tokens = 4;
  limits.logit_rows = 8;
  Scheduler s(limits);
  s.arrive(arrival(1, counting(0, 3), 9), 0);
  Arrival scoring = arrival(2, counting(20, 6), 3);
  scoring.prompt_logits = true;
  scoring.priority = Priority::kLow;
  int32_t logits = 0, tokens = 0;
  s.arrive(scoring, 0);
  while (const auto batch = s.next_batch(0)) {
    for (const BatchItem& item : batch->items) {
      if (item.id != 2) continue;
      if (item.logits_all) {
        EXPECT_EQ(item.first_position, logits);
        logits += static_cast<int32_t>(item.tokens.size());
      }
      if (item.logits_last) ++tokens;
    }
    answer(s, *batch);
  }
  EXPECT_EQ(logits, 6);
  EXPECT_EQ(tokens, 3);
}

TEST(Scheduler, CancelFreesAtOnceOrAfterTheBatchInFlight) {
  Scheduler s(small_limits());
  s.arrive(arrival(1, counting(0, 3), 9), 0);
  s.arrive(arrival(2, counting(10, 3), 9), 0);
  EXPECT_TRUE(s.cancel(1));
  EXPECT_FALSE(s.cancel(1));
  EXPECT_FALSE(s.info(1));
  const auto batch = s.next_batch(0);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{2, 0, 3}));
  EXPECT_TRUE(s.cancel(2));
  EXPECT_FALSE(s.cancel(2));
  EXPECT_EQ(s.stats().pages_used, 1) << "the executor still writes there";
  answer(s, *batch);
  EXPECT_FALSE(s.info(2));
  EXPECT_EQ(s.stats().pages_used, 0);
  EXPECT_FALSE(s.cancel(3));
}

TEST(Scheduler, AFailedBatchEndsItsProcessesAndLeavesNothing) {
  Scheduler s(small_limits());
  for (ProcessId id = 1; id <= 3; ++id) s.arrive(arrival(id, counting(0, 4), 9), 0);
  const auto batch = s.next_batch(0);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{1, 0, 4}, Row{2, 0, 4}));
  s.cancel(2);
  s.batch_failed(0);
  ASSERT_EQ(s.check_invariants(), "");
  EXPECT_FALSE(s.info(1) || s.info(2));
  EXPECT_EQ(s.stats().pages_cached, 0) << "nobody knows what the pages hold";
  EXPECT_THAT(step(s), ElementsAre(Row{3, 0, 4})) << "was not in the batch";
}

TEST(Scheduler, OneProcessMayUseEveryPage) {
  SchedulerLimits limits = small_limits();
  limits.pages = 5;
  Scheduler s(limits);
  for (ProcessId id = 1; id <= 3; ++id) {
    ASSERT_EQ(s.arrive(arrival(id, counting(static_cast<TokenId>(100 * id), 8), 13), 0),
              Admission::kQueued);
  }
  int batches = 0;
  while (!step(s).empty()) ASSERT_LT(++batches, 200);
  EXPECT_EQ(s.stats().pages_used, 0);
  EXPECT_EQ(s.stats().pages_free + s.stats().pages_cached, 5);
}

SchedulerLimits with_host_pages(int32_t pages, int32_t host_pages) {
  SchedulerLimits limits = small_limits();
  limits.pages = pages;
  limits.host_pages = host_pages;
  return limits;
}

/// Runs a process alone to its end.
void run_alone(Scheduler& s, Arrival one) {
  const ProcessId id = one.id;
  ASSERT_EQ(s.arrive(std::move(one), 0), Admission::kQueued);
  while (s.info(id)) step(s);
}

TEST(SchedulerHostTier, AConversationThatWasPushedOutIsNotComputedAgain) {
  Scheduler s(with_host_pages(6, 6));
  run_alone(s, arrival(1, counting(0, 16), 5));
  run_alone(s, arrival(2, counting(100, 16), 5));
  EXPECT_EQ(s.stats().host_pages_used, 4) << "the prompt and the answer's page stay on the device";
  EXPECT_EQ(s.stats().pages_swapped_out, 4U);
  std::vector<TokenId> longer = counting(0, 16);
  longer.insert(longer.end(), {7, 7, 7, 7, 7, 50});
  s.arrive(arrival(3, longer, 3), 0);
  const auto batch = s.next_batch(0);
  EXPECT_THAT(rows_of(*batch), ElementsAre(Row{3, 20, 2}));
  EXPECT_EQ(s.info(3)->cached_tokens, 20);
  EXPECT_GE(s.stats().pages_swapped_in, 4U);
  answer(s, *batch);
}

TEST(SchedulerHostTier, ASuspendedProcessGoesOnWhereItWas) {
  Scheduler s(with_host_pages(5, 8));
  Arrival low = arrival(1, counting(10, 4), 12);
  low.priority = Priority::kLow;
  s.arrive(low, 0);
  s.arrive(arrival(2, counting(20, 4), 12), 0);
  int32_t next = 0, batches = 0;
  while (s.info(1)) {
    const auto batch = s.next_batch(0);
    ASSERT_LT(++batches, 100);
    for (const BatchItem& item : batch->items) {
      if (item.id != 1) continue;
      EXPECT_EQ(item.first_position, next) << "no token twice";
      next += static_cast<int32_t>(item.tokens.size());
    }
    answer(s, *batch);
  }
  EXPECT_EQ(next, 15);
  EXPECT_GT(s.stats().suspensions, 0U);
}

TEST(SchedulerHostTier, CancelGivesThePartOfAPageBack) {
  Scheduler s(with_host_pages(5, 8));
  Arrival low = arrival(1, counting(10, 4), 12);
  low.priority = Priority::kLow;
  s.arrive(low, 0);
  s.arrive(arrival(2, counting(20, 3), 15), 0);
  while (s.stats().suspensions == 0) step(s);
  EXPECT_EQ(s.stats().host_pages_used, 1) << "its last page, which is not full";
  EXPECT_TRUE(s.cancel(1));
  EXPECT_EQ(s.stats().host_pages_used, 0);
  EXPECT_EQ(s.stats().pages_cached, 2) << "its full pages are as good as any other prefix";
  EXPECT_EQ(s.check_invariants(), "");
}

TEST(SchedulerHostTier, RoomIsMadeBesidesWhatIsWanted) {
  Scheduler s(with_host_pages(5, 4));
  run_alone(s, arrival(1, counting(0, 16), 1));
  run_alone(s, arrival(2, counting(100, 20), 1));
  ASSERT_EQ(s.stats().host_pages_used, 4);
  ASSERT_EQ(s.stats().pages_free, 0) << "both tiers are full";
  s.arrive(arrival(3, counting(0, 17), 1), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{3, 16, 1}));
}

TEST(SchedulerHostTier, WhatAFailedMoveShouldHaveBroughtIsComputedAgain) {
  Scheduler s(with_host_pages(8, 8));
  run_alone(s, arrival(1, counting(0, 12), 1));
  run_alone(s, arrival(2, counting(100, 28), 1));
  ASSERT_EQ(s.stats().host_pages_used, 2);
  s.arrive(arrival(3, counting(0, 13), 4), 0);
  ASSERT_EQ(s.next_batch(0)->moves.size(), 5U) << "three make room, two come";
  EXPECT_EQ(s.info(3)->cached_tokens, 12);
  s.batch_failed(0);
  EXPECT_EQ(s.check_invariants(), "");
  EXPECT_FALSE(s.info(3));
  s.arrive(arrival(4, counting(0, 13), 4), 0);
  EXPECT_THAT(step(s), ElementsAre(Row{4, 4, 8})) << "the first page never left";
}

TEST(SchedulerHostTier, WhoHoldsWhatAFailedMoveBroughtBeginsAgain) {
  Scheduler s(with_host_pages(8, 8));
  run_alone(s, arrival(1, counting(0, 12), 1));
  run_alone(s, arrival(2, counting(100, 28), 1));
  Arrival scoring = arrival(3, counting(200, 8), 0);
  scoring.prompt_logits = true;
  s.arrive(scoring, 0);
  s.arrive(arrival(4, counting(0, 13), 4), 0);
  const auto batch = s.next_batch(0);
  ASSERT_THAT(rows_of(*batch), ElementsAre(Row{3, 0, 4})) << "takes all logit rows";
  ASSERT_EQ(s.info(4)->cached_tokens, 12) << "but its pages come already";
  s.batch_failed(0);
  EXPECT_EQ(s.check_invariants(), "");
  EXPECT_EQ(s.stats().waiting, 1);
  EXPECT_THAT(step(s), ElementsAre(Row{4, 0, 8}));
}

}  // namespace
}  // namespace neuros::sched
