#include "runtime/pager.h"

#include "base/check.h"
#include "base/process_memory.h"
#include "base/testing/sanitizers.h"
#include "device/cpu/cpu_device.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr size_t kFrame = size_t{64} << 10;

/// Segments of so many bytes, each from a frame on.
plan::Plan plan_of(const std::vector<int64_t>& bytes) {
  plan::Plan plan;
  plan.model_path = "fake.gguf";
  int64_t offset = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    plan.segments.push_back({"layer " + std::to_string(i), offset, bytes[i]});
    const auto frame = static_cast<int64_t>(kFrame);
    offset += (bytes[i] + frame - 1) / frame * frame;
  }
  plan.memory.weights = offset;
  return plan;
}

/// Fills a segment with its number and 1; fails, or waits, where it is told to.
class FakeSource final : public SegmentSource {
 public:
  explicit FakeSource(const plan::Plan& plan) : plan_(plan) {}
  WeightTier tier() const override { return WeightTier::kPageable; }
  base::Result<> read(int32_t segment, const SegmentTarget& target) override {
    ++reads;
    if (const auto gate = gates.find(segment); gate != gates.end()) gate->second.wait();
    const auto bytes = static_cast<size_t>(plan_.segments[static_cast<size_t>(segment)].bytes);
    std::memset(target.place, segment + 1, bytes);
    if (segment == failing) return base::fail("fake.gguf: segment 3: no such luck");
    return {};
  }

  std::atomic<int> reads = 0;
  std::atomic<int> failing = -1;
  std::map<int32_t, std::shared_future<void>> gates;

 private:
  const plan::Plan& plan_;
};

class PagerTest : public testing::Test {
 protected:
  explicit PagerTest(size_t frames = 16)
      : plan(plan_of({100'000, 4096, 65'536, 200'704, 131'072})),
        source(plan),
        device(*device::open_cpu_device({.threads = 1, .memory_bytes = size_t{64} << 20})),
        pool(*device->create_frame_pool({.frame_bytes = kFrame, .frames = frames}, "weights")),
        range(*pool->reserve_addresses(static_cast<size_t>(plan.memory.weights), "fake")),
        pager(*Pager::create(*device, [this](const PagerReport& report) { note(report); })) {
    const auto added = pager->add({range.get(), &plan, &source});
    CHECK(added.has_value());
    model = *added;
  }

  void note(const PagerReport& report) {
    if (on_report) on_report(report);
    const std::lock_guard lock(mutex);
    reports.push_back(report);
    came.notify_all();
  }
  /// The first `count` reports.
  std::vector<PagerReport> wait_for(size_t count) {
    std::unique_lock lock(mutex);
    came.wait(lock, [&] { return reports.size() >= count; });
    return {reports.begin(), reports.begin() + static_cast<ptrdiff_t>(count)};
  }
  bool has_memory(int32_t segment) const {
    const auto offset = static_cast<size_t>(plan.segments[static_cast<size_t>(segment)].offset);
    return range->is_mapped(offset, kFrame);
  }
  /// Whether a segment holds what its source gives.
  bool is_there(int32_t segment) const {
    const plan::SegmentPlacement& placed = plan.segments[static_cast<size_t>(segment)];
    const auto bytes = range->span().subspan(static_cast<size_t>(placed.offset),
                                             static_cast<size_t>(placed.bytes));
    const auto value = static_cast<std::byte>(segment + 1);
    return has_memory(segment) && std::ranges::count(bytes, value) == placed.bytes;
  }

  plan::Plan plan;
  FakeSource source;
  std::unique_ptr<device::Device> device;
  std::unique_ptr<device::FramePool> pool;
  std::unique_ptr<device::AddressRange> range;
  std::function<void(const PagerReport&)> on_report;
  std::mutex mutex;
  std::condition_variable came;
  std::vector<PagerReport> reports;
  std::unique_ptr<Pager> pager;  ///< its threads use the rest
  int32_t model = -1;
};

TEST_F(PagerTest, LoadsAndDropsInOrder) {
  for (int32_t segment = 0; segment < 5; ++segment) pager->load(model, segment);
  for (const int32_t segment : {3, 0}) pager->drop(model, segment);
  const auto done = wait_for(7);
  std::vector<int32_t> order;
  for (const PagerReport& report : done) {
    EXPECT_TRUE(report.result.has_value());
    EXPECT_EQ(report.model, model);
    EXPECT_EQ(report.job, order.size() < 5 ? PagerJob::kLoad : PagerJob::kDrop);
    EXPECT_EQ(report.bytes, plan.segments[static_cast<size_t>(report.segment)].bytes);
    EXPECT_LE(report.begin, report.end);
    order.push_back(report.segment);
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 3, 0));
  for (const int32_t segment : {1, 2, 4}) EXPECT_TRUE(is_there(segment));
  for (const int32_t segment : {0, 3}) EXPECT_FALSE(has_memory(segment));
  EXPECT_EQ(pool->free_frames(), 16U - 4);
}

TEST_F(PagerTest, CountsWhatItMoves) {
  source.failing = 2;
  for (const int32_t segment : {0, 1, 2}) pager->load(model, segment);
  pager->drop(model, 0);
  wait_for(4);
  const PagerStats stats = pager->stats();
  const PagerTraffic& loads = stats.of(PagerJob::kLoad, WeightTier::kPageable);
  EXPECT_EQ(loads.jobs, 2);
  EXPECT_EQ(loads.failures, 1);
  EXPECT_EQ(loads.bytes, 104'096);
  const PagerTraffic& drops = stats.of(PagerJob::kDrop, WeightTier::kPageable);
  EXPECT_EQ(drops.jobs, 1);
  EXPECT_EQ(drops.bytes, 100'000);
  EXPECT_EQ(stats.of(PagerJob::kLoad, WeightTier::kDisk).jobs, 0);
}

TEST_F(PagerTest, AFailedLoadLeavesTheSegmentWithoutMemory) {
  source.failing = 3;
  for (const int32_t segment : {2, 3, 4}) pager->load(model, segment);
  const auto done = wait_for(3);
  EXPECT_TRUE(done[0].result.has_value());
  ASSERT_FALSE(done[1].result.has_value());
  EXPECT_EQ(done[1].result.error().message, "fake.gguf: segment 3: no such luck");
  EXPECT_TRUE(done[2].result.has_value());
  EXPECT_FALSE(has_memory(3));
  EXPECT_EQ(pool->free_frames(), 16U - 3);
  source.failing = -1;
  pager->load(model, 3);
  EXPECT_TRUE(wait_for(4)[3].result.has_value());
  EXPECT_TRUE(is_there(3));
}

TEST_F(PagerTest, RefusesWhatMakesNoSense) {
  pager->drop(model, 0);
  pager->load(model, 0);
  pager->load(model, 0);
  const auto done = wait_for(3);
  EXPECT_EQ(done[0].result.error().message, "fake.gguf: segment layer 0: it is not there");
  EXPECT_TRUE(done[1].result.has_value());
  EXPECT_EQ(done[2].result.error().message, "fake.gguf: segment layer 0: it is there already");
  EXPECT_TRUE(is_there(0));
}

TEST_F(PagerTest, RefusesAModelThatWasNotPlannedForFrames) {
  plan::Plan dense = plan;
  dense.segments[1].offset = 102'400;
  const auto added = pager->add({range.get(), &dense, &source});
  ASSERT_FALSE(added.has_value());
  EXPECT_THAT(added.error().message, HasSubstr("fake.gguf: segment layer 1 at 102400"));
  plan::Plan large = plan;
  large.segments.push_back({"too much", large.memory.weights, 1});
  EXPECT_FALSE(pager->add({range.get(), &large, &source}).has_value());
}

TEST_F(PagerTest, MapsTheNextWhileOneIsCopiedAndNoMore) {
  std::promise<void> let_go;
  source.gates[0] = let_go.get_future().share();
  for (int32_t segment = 0; segment < 3; ++segment) pager->load(model, segment);
  while (pool->free_frames() > 16U - 3) std::this_thread::yield();  // two frames, and one
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pool->free_frames(), 16U - 3);
  EXPECT_EQ(source.reads, 1);
  let_go.set_value();
  wait_for(3);
  EXPECT_TRUE(is_there(2));
}

TEST_F(PagerTest, DropsWhatIsComingOnceItIsThere) {
  std::promise<void> let_go;
  source.gates[3] = let_go.get_future().share();
  pager->load(model, 3);
  pager->drop(model, 3);
  pager->load(model, 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pool->free_frames(), 16U - 4) << "it waits";
  let_go.set_value();
  for (const PagerReport& report : wait_for(3)) EXPECT_TRUE(report.result.has_value());
  EXPECT_TRUE(is_there(3));
}

TEST_F(PagerTest, AbandonsWhatHasNotBegun) {
  std::promise<void> let_go;
  source.gates[0] = let_go.get_future().share();
  for (int32_t segment = 0; segment < 5; ++segment) pager->load(model, segment);
  while (pool->free_frames() > 16U - 3) std::this_thread::yield();
  std::thread stopping([this] { pager->stop(Pager::Stop::kAbandon); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  let_go.set_value();
  stopping.join();
  const auto done = wait_for(5);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(done[i].result.has_value()) << i;
  for (size_t i = 3; i < 5; ++i) {
    ASSERT_FALSE(done[i].result.has_value()) << i;
    EXPECT_EQ(done[i].result.error().kind, base::ErrorKind::kCancelled);
    EXPECT_FALSE(has_memory(static_cast<int32_t>(i)));
  }
}

TEST_F(PagerTest, FinishesWhatItWasGiven) {
  for (int32_t segment = 0; segment < 5; ++segment) pager->load(model, segment);
  pager->stop(Pager::Stop::kFinish);
  for (const PagerReport& report : wait_for(5)) EXPECT_TRUE(report.result.has_value());
  pager->load(model, 0);
  EXPECT_EQ(reports.size(), 5U) << "nobody does it";
}

TEST_F(PagerTest, TakesJobsFromWhoIsTold) {
  on_report = [this](const PagerReport& report) {
    if (report.segment < 4) pager->load(model, report.segment + 1);
  };
  pager->load(model, 0);
  wait_for(5);
  for (int32_t segment = 0; segment < 5; ++segment) EXPECT_TRUE(is_there(segment));
}

class ScarcePagerTest : public PagerTest {
 protected:
  ScarcePagerTest() : PagerTest(5) {}
};

TEST_F(ScarcePagerTest, SaysWhenNoFrameIsLeft) {
  pager->load(model, 3);
  pager->load(model, 0);
  const auto done = wait_for(2);
  EXPECT_TRUE(done[0].result.has_value());
  ASSERT_FALSE(done[1].result.has_value());
  EXPECT_EQ(done[1].result.error().kind, base::ErrorKind::kOutOfMemory);
  EXPECT_THAT(done[1].result.error().message, HasSubstr("asked for 2 frames of 64 KiB, free 1"));
  pager->drop(model, 3);
  pager->load(model, 0);
  EXPECT_TRUE(wait_for(4)[3].result.has_value());
  EXPECT_TRUE(is_there(0));
}

size_t open_files() {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST_F(ScarcePagerTest, TwoModelsTakeTurnsWithoutEnd) {
  const auto other_range =
      *pool->reserve_addresses(static_cast<size_t>(plan.memory.weights), "other");
  FakeSource other_source(plan);
  const int32_t other = *pager->add({other_range.get(), &plan, &other_source});
  const auto turn = [&](int32_t which) {
    for (const int32_t segment : {0, 1, 4}) pager->load(which, segment);
    for (const int32_t segment : {1, 0, 4}) pager->drop(which, segment);
  };
  const auto take_turns = [&](int count) {
    for (int i = 0; i < count; ++i) {
      turn(model), turn(other);
      for (const PagerReport& report : wait_for(12)) ASSERT_TRUE(report.result.has_value());
      reports.clear();  // all of them are in
    }
  };
  take_turns(100);
  const int64_t resident = base::process_memory().resident;
  const size_t files = open_files();
  take_turns(1000);
  EXPECT_EQ(pool->free_frames(), 5U);
  EXPECT_EQ(open_files(), files);
  if (!base::testing::kSanitized) {
    EXPECT_LT(base::process_memory().resident, resident + (int64_t{4} << 20));
  }
  pager->stop(Pager::Stop::kFinish);
}

}  // namespace
}  // namespace neuros::runtime
