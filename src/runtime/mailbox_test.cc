#include "runtime/mailbox.h"

#include "runtime/live_process.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace neuros::runtime {
namespace {

TEST(Mailbox, RefusesBeyondTheQueueAndTakesMoreWhenSomeLeftIt) {
  Doorbell doorbell;
  Mailbox mailbox(2, doorbell);
  ASSERT_TRUE(mailbox.submit({}).has_value());
  ASSERT_TRUE(mailbox.submit({}).has_value());
  const auto third = mailbox.submit({});
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().kind, base::ErrorKind::kUnavailable);
  EXPECT_EQ(third.error().message, "engine: queue full: 2 waiting, limit 2");
  EXPECT_EQ(mailbox.collect().submissions.size(), 2U);
  EXPECT_FALSE(mailbox.submit({}).has_value()) << "collected ones still wait";
  mailbox.left_queue(sched::Priority::kMedium);
  EXPECT_TRUE(mailbox.submit({}).has_value());
}

TEST(Mailbox, RefusesLowerPrioritiesFirst) {
  Doorbell doorbell;
  Mailbox mailbox(2, doorbell);
  const auto submit = [&](sched::Priority priority) {
    ProcessSpec spec;
    spec.priority = priority;
    return mailbox.submit(std::move(spec)).has_value();
  };
  using enum sched::Priority;
  EXPECT_TRUE(submit(kLow));
  EXPECT_TRUE(submit(kLow));
  EXPECT_FALSE(submit(kLow));
  EXPECT_TRUE(submit(kCritical)) << "who waits behind it is in nobody's way";
  EXPECT_TRUE(submit(kMedium));
  EXPECT_FALSE(submit(kMedium)) << "one of its own and a critical one wait";
  EXPECT_TRUE(submit(kCritical));
  EXPECT_FALSE(submit(kCritical));
  mailbox.left_queue(kCritical);
  EXPECT_TRUE(submit(kCritical));
  EXPECT_FALSE(submit(kLow));
}

TEST(Mailbox, MailComesInOrderAndOnce) {
  Doorbell doorbell;
  Mailbox mailbox(8, doorbell);
  const auto a = mailbox.submit({}), b = mailbox.submit({});
  mailbox.cancel(*a);
  const Mail mail = mailbox.collect();
  ASSERT_EQ(mail.submissions.size(), 2U);
  EXPECT_EQ(mail.submissions[0].id, *a);
  EXPECT_EQ(mail.submissions[1].id, *b);
  ASSERT_EQ(mail.cancellations.size(), 1U);
  EXPECT_FALSE(mail.stop);
  EXPECT_TRUE(mailbox.collect().submissions.empty());
}

TEST(Mailbox, StopWakesTheWaitingEngineAndStays) {
  Doorbell doorbell;
  Mailbox mailbox(8, doorbell);
  std::thread stopper([&] { mailbox.stop(); });
  doorbell.wait();
  EXPECT_TRUE(mailbox.collect().stop);
  stopper.join();
  EXPECT_TRUE(mailbox.collect().stop);
  EXPECT_EQ(mailbox.submit({}).error().kind, base::ErrorKind::kUnavailable);
}

TEST(Mailbox, WaitUntilIdleReturnsWhenTheLastEnded) {
  Doorbell doorbell;
  Mailbox mailbox(8, doorbell);
  ASSERT_TRUE(mailbox.submit({}).has_value());
  std::atomic<bool> ended = false;
  std::thread engine([&] {
    doorbell.wait();
    mailbox.collect();
    mailbox.left_queue(sched::Priority::kMedium);
    ended = true;
    mailbox.ended();
  });
  mailbox.close();
  mailbox.wait_until_idle();
  EXPECT_TRUE(ended);
  engine.join();
}

TEST(LiveProcess, TimesAddUp) {
  LiveProcess process;
  process.submitted = {10, 100};
  EXPECT_EQ(process.times({15, 100}).queue_us, 5) << "ended in the queue";
  process.started = {20, 104};
  ProcessTimes times = process.times({50, 104});
  EXPECT_EQ(times.queue_us, 6);
  EXPECT_EQ(times.swap_us, 4);
  EXPECT_EQ(times.prefill_us, 30) << "no new token yet";
  EXPECT_EQ(times.decode_us, 0);
  process.answering = {40, 105};
  times = process.times({70, 110});
  EXPECT_EQ(times.swap_us, 10);
  EXPECT_EQ(times.prefill_us, 19);
  EXPECT_EQ(times.decode_us, 25);
  EXPECT_EQ(times.queue_us + times.swap_us + times.prefill_us + times.decode_us, 60);
}

TEST(LiveProcess, AWaitThatWasUnderWayCountsFromItsBegin) {
  LiveProcess process;
  process.submitted = {10, 100};
  process.started = {20, 130};  // the model had waited for 20 us before that
  process.answering = {40, 130};
  const ProcessTimes times = process.times({50, 130});
  EXPECT_EQ(times.queue_us, 0);
  EXPECT_EQ(times.swap_us, 10);
  EXPECT_EQ(times.prefill_us, 20);
  EXPECT_EQ(times.decode_us, 10);
}

}  // namespace
}  // namespace neuros::runtime
