#include "runtime/mailbox.h"

#include "runtime/live_process.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace neuros::runtime {
namespace {

TEST(Mailbox, RefusesBeyondTheQueueAndTakesMoreWhenSomeLeftIt) {
  Mailbox mailbox(2);
  ASSERT_TRUE(mailbox.submit({}).has_value());
  ASSERT_TRUE(mailbox.submit({}).has_value());
  const auto third = mailbox.submit({});
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().kind, base::ErrorKind::kUnavailable);
  EXPECT_EQ(third.error().message, "engine: queue full: 2 waiting, limit 2");
  EXPECT_EQ(mailbox.collect(Mailbox::Wait::kNever).submissions.size(), 2U);
  EXPECT_FALSE(mailbox.submit({}).has_value()) << "collected ones still wait";
  mailbox.left_queue();
  EXPECT_TRUE(mailbox.submit({}).has_value());
}

TEST(Mailbox, MailComesInOrderAndOnce) {
  Mailbox mailbox(8);
  const auto a = mailbox.submit({}), b = mailbox.submit({});
  mailbox.cancel(*a);
  const Mail mail = mailbox.collect(Mailbox::Wait::kForMail);
  ASSERT_EQ(mail.submissions.size(), 2U);
  EXPECT_EQ(mail.submissions[0].id, *a);
  EXPECT_EQ(mail.submissions[1].id, *b);
  ASSERT_EQ(mail.cancellations.size(), 1U);
  EXPECT_FALSE(mail.stop);
  EXPECT_TRUE(mailbox.collect(Mailbox::Wait::kNever).submissions.empty());
}

TEST(Mailbox, StopWakesTheWaitingEngineAndStays) {
  Mailbox mailbox(8);
  std::thread stopper([&] { mailbox.stop(); });
  EXPECT_TRUE(mailbox.collect(Mailbox::Wait::kForMail).stop);
  stopper.join();
  EXPECT_TRUE(mailbox.collect(Mailbox::Wait::kForMail).stop);
  EXPECT_EQ(mailbox.submit({}).error().kind, base::ErrorKind::kUnavailable);
}

TEST(Mailbox, WaitUntilIdleReturnsWhenTheLastEnded) {
  Mailbox mailbox(8);
  ASSERT_TRUE(mailbox.submit({}).has_value());
  std::atomic<bool> ended = false;
  std::thread engine([&] {
    mailbox.collect(Mailbox::Wait::kForMail);
    mailbox.left_queue();
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
  process.submitted_us = 10;
  EXPECT_EQ(process.times(15).queue_us, 5) << "ended in the queue";
  process.started_us = 20;
  ProcessTimes times = process.times(50);
  EXPECT_EQ(times.queue_us, 10);
  EXPECT_EQ(times.prefill_us, 30) << "no new token yet";
  EXPECT_EQ(times.decode_us, 0);
  process.answering_us = 40;
  times = process.times(70);
  EXPECT_EQ(times.prefill_us, 20);
  EXPECT_EQ(times.decode_us, 30);
}

}  // namespace
}  // namespace neuros::runtime
