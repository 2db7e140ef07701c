#include "runtime/preparation.h"

#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr sched::Demand kCritical{.work = true, .top = sched::Priority::kCritical};

/// Remembers what was prepared, and by which thread.
class PreparationTest : public ::testing::Test {
 protected:
  Preparation::Hooks hooks() {
    return {.prepare = [this](sched::ModelId model) { return prepare(model); },
            .on_done =
                [this](sched::ModelId model, const base::Result<>& result) {
                  done_.emplace_back(model, result.has_value());
                  if (done_.size() == awaited_) all_done_.set_value();
                }};
  }
  virtual base::Result<> prepare(sched::ModelId model) {
    threads_.push_back(std::this_thread::get_id());
    if (model == fails_) return base::fail("model.gguf: gone", base::ErrorKind::kNotFound);
    return {};
  }

  sched::ModelId fails_ = -1;
  size_t awaited_ = 0;  ///< how many models `all_done_` is about
  std::vector<std::thread::id> threads_;
  std::vector<std::pair<sched::ModelId, bool>> done_;
  std::promise<void> all_done_;
};

TEST_F(PreparationTest, PreparesInOrderOnWhoCalls) {
  Preparation preparation({2, 0, 1}, hooks());
  EXPECT_TRUE(preparation.prepare_next());
  EXPECT_EQ(preparation.count(sched::BootState::kReady), 1);
  while (preparation.prepare_next()) {
  }
  EXPECT_THAT(done_, ElementsAre(Pair(2, true), Pair(0, true), Pair(1, true)));
  EXPECT_THAT(threads_, ::testing::Each(std::this_thread::get_id()));
}

TEST_F(PreparationTest, TheRestComesOnAThreadOfItsOwn) {
  awaited_ = 3;
  fails_ = 2;
  Preparation preparation({0, 1, 2}, hooks());
  ASSERT_TRUE(preparation.prepare_next());
  preparation.set_demand(2, kCritical);
  preparation.start();
  all_done_.get_future().wait();
  preparation.stop();
  EXPECT_THAT(done_, ElementsAre(Pair(0, true), Pair(2, false), Pair(1, true)))
      << "who is waited for first; its failure stops nobody";
  EXPECT_EQ(preparation.count(sched::BootState::kFailed), 1);
  EXPECT_NE(threads_[1], std::this_thread::get_id());
}

TEST_F(PreparationTest, WhereNothingIsLeftStartDoesNothing) {
  Preparation preparation({0}, hooks());
  ASSERT_TRUE(preparation.prepare_next());
  preparation.start();
  preparation.stop();
  EXPECT_EQ(done_.size(), 1U);
}

/// A model that takes until it is told to stop.
class EndlessPreparationTest : public PreparationTest {
 protected:
  base::Result<> prepare(sched::ModelId) override {
    begun_.set_value();
    while (!preparation_->stops()) std::this_thread::yield();
    return base::fail("boot: stopped", base::ErrorKind::kCancelled);
  }
  std::promise<void> begun_;
  std::unique_ptr<Preparation> preparation_;
};

TEST_F(EndlessPreparationTest, StopBreaksOffWhatIsUnderWay) {
  preparation_ = std::make_unique<Preparation>(std::vector<sched::ModelId>{0, 1}, hooks());
  preparation_->start();
  begun_.get_future().wait();
  preparation_->stop();
  EXPECT_TRUE(done_.empty()) << "nobody hears of it";
  EXPECT_EQ(preparation_->count(sched::BootState::kWaiting), 1) << "and nothing more is begun";
  EXPECT_FALSE(preparation_->prepare_next());
}

}  // namespace
}  // namespace neuros::runtime
