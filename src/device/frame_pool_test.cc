#include "device/frame_pool.h"

#include "base/process_memory.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda_device.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::device {
namespace {

using testing::HasSubstr;

constexpr size_t kMib = size_t{1} << 20;
constexpr size_t kFrames = 32;

/// Every device of this machine, with the least frames it has.
class FramePoolTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "cpu") {
      device_ = *open_cpu_device({.threads = 1, .memory_bytes = 256 * kMib});
    } else {
      device_ = *open_cuda_device({.index = 0, .memory_bytes = 256 * kMib});
    }
    frame_ = GetParam() == "cpu" ? kMib / 16 : 2 * kMib;
    stream_ = *device_->create_stream({.priority = StreamOptions::Priority::kLow});
    pool_ = *device_->create_frame_pool({.frame_bytes = frame_, .frames = kFrames}, "weights");
  }

  std::unique_ptr<AddressRange> reserve(size_t frames, const std::string& what = "model") {
    return *pool_->reserve_addresses(frames * frame_, what);
  }
  void write(const AddressRange& range, size_t frame, uint8_t value) {
    const std::vector<uint8_t> bytes(frame_, value);
    stream_->copy(range.data() + frame * frame_, std::as_bytes(std::span(bytes)).data(), frame_);
    ASSERT_TRUE(stream_->synchronize().has_value());
  }
  /// The value of all bytes of a frame, or -1.
  int read(const AddressRange& range, size_t frame) {
    std::vector<uint8_t> bytes(frame_);
    stream_->copy(std::as_writable_bytes(std::span(bytes)).data(), range.data() + frame * frame_,
                  frame_);
    EXPECT_TRUE(stream_->synchronize().has_value());
    const bool same = std::ranges::count(bytes, bytes.front()) == std::ssize(bytes);
    return same ? bytes.front() : -1;
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  size_t frame_ = 0;
  std::unique_ptr<FramePool> pool_;
};

TEST_P(FramePoolTest, CountsItsFrames) {
  EXPECT_EQ(pool_->frame_bytes(), frame_);
  EXPECT_EQ(pool_->frames(), kFrames);
  const auto range = *pool_->reserve_addresses(10 * frame_ - 1, "model");
  EXPECT_EQ(range->size(), 10 * frame_);
  EXPECT_EQ(pool_->free_frames(), kFrames);
  ASSERT_TRUE(range->map(2 * frame_, 5 * frame_).has_value());
  EXPECT_EQ(pool_->free_frames(), kFrames - 5);
  EXPECT_TRUE(range->is_mapped(3 * frame_, 4 * frame_));
  EXPECT_FALSE(range->is_mapped(3 * frame_, 5 * frame_));
  ASSERT_TRUE(range->unmap(2 * frame_, 3 * frame_).has_value());
  EXPECT_EQ(pool_->free_frames(), kFrames - 2);
}

TEST_P(FramePoolTest, HoldsWhatIsWrittenAtItsAddresses) {
  const auto first = reserve(4), second = reserve(4);
  ASSERT_TRUE(first->map(0, 4 * frame_).has_value());
  ASSERT_TRUE(second->map(frame_, 2 * frame_).has_value());
  for (size_t i = 0; i < 4; ++i) write(*first, i, static_cast<uint8_t>(10 + i));
  write(*second, 1, 20);
  write(*second, 2, 21);
  ASSERT_TRUE(first->unmap(0, 2 * frame_).has_value());
  ASSERT_TRUE(second->map(3 * frame_, frame_).has_value());
  write(*second, 3, 22);
  EXPECT_EQ(read(*first, 2), 12);
  EXPECT_EQ(read(*first, 3), 13);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(read(*second, i), static_cast<int>(19 + i));
}

TEST_P(FramePoolTest, SaysWhatIsMissing) {
  const auto range = reserve(2 * kFrames, "weights of llama");
  ASSERT_TRUE(range->map(0, 30 * frame_).has_value());
  const auto more = range->map(30 * frame_, 3 * frame_);
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().kind, base::ErrorKind::kOutOfMemory);
  EXPECT_THAT(more.error().message, HasSubstr("weights of llama: asked for 3 frames of "));
  EXPECT_THAT(more.error().message, HasSubstr("free 2 of 32"));
  EXPECT_EQ(pool_->free_frames(), 2U) << "none of them is taken";
  EXPECT_FALSE(range->is_mapped(30 * frame_, frame_));
  ASSERT_TRUE(range->unmap(0, frame_).has_value());
  EXPECT_TRUE(range->map(30 * frame_, 3 * frame_).has_value());
}

TEST_P(FramePoolTest, CountsAgainstTheBudget) {
  EXPECT_FALSE(device_->reserve(device_->memory_bytes(), "all").has_value());
  const size_t frames = device_->memory_bytes() / frame_;
  const FramePoolOptions whole{.frame_bytes = frame_, .frames = frames};
  const auto too_much = device_->create_frame_pool(whole, "more");
  ASSERT_FALSE(too_much.has_value());
  EXPECT_EQ(too_much.error().kind, base::ErrorKind::kOutOfMemory);
  pool_.reset();
  EXPECT_TRUE(device_->create_frame_pool(whole, "all").has_value());
  EXPECT_TRUE(device_->reserve(device_->memory_bytes() / 2, "half").has_value());
}

TEST_P(FramePoolTest, RefusesFramesThatCannotBe) {
  for (const size_t bytes : {size_t{0}, size_t{4096}, 3 * frame_}) {
    const auto pool = device_->create_frame_pool({.frame_bytes = bytes, .frames = 4}, "weights");
    ASSERT_FALSE(pool.has_value());
    EXPECT_THAT(pool.error().message, HasSubstr("expected a power of two"));
  }
}

TEST_P(FramePoolTest, ARangeGivesItsFramesBackAtItsEnd) {
  {
    const auto range = reserve(9);
    ASSERT_TRUE(range->map(0, 2 * frame_).has_value());
    ASSERT_TRUE(range->map(5 * frame_, 4 * frame_).has_value());
  }
  EXPECT_EQ(pool_->free_frames(), kFrames);
}

TEST_P(FramePoolTest, MappingTwiceIsABug) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto range = reserve(4);
  ASSERT_TRUE(range->map(0, 2 * frame_).has_value());
  EXPECT_DEATH(static_cast<void>(range->map(frame_, frame_)), "mapped twice");
  EXPECT_DEATH(static_cast<void>(range->unmap(frame_, 2 * frame_)), "unmapped without memory");
  EXPECT_DEATH(static_cast<void>(range->map(1, frame_)), "whole frames");
  EXPECT_DEATH(static_cast<void>(range->map(3 * frame_, 2 * frame_)), "whole frames");
}

/// A range of which one part is mapped at a time.
struct Tenant {
  std::unique_ptr<AddressRange> range;
  size_t first = 0, count = 0;
  uint8_t value = 0;
};

TEST_P(FramePoolTest, StaysWholeWhenRangesComeAndGo) {
  std::mt19937 random(7);
  std::vector<Tenant> tenants;
  for (const size_t frames : {3U, 8U, 17U, 30U}) tenants.push_back({reserve(frames)});
  for (int i = 0; i < 1000; ++i) {
    Tenant& tenant = tenants[random() % tenants.size()];
    if (tenant.count > 0) {
      EXPECT_EQ(read(*tenant.range, tenant.first), tenant.value);
      EXPECT_EQ(read(*tenant.range, tenant.first + tenant.count - 1), tenant.value);
      ASSERT_TRUE(tenant.range->unmap(tenant.first * frame_, tenant.count * frame_).has_value());
    }
    const size_t frames = tenant.range->size() / frame_;
    tenant.first = random() % frames;
    tenant.count = std::min<size_t>({random() % 9, frames - tenant.first, pool_->free_frames()});
    tenant.value = static_cast<uint8_t>(i);
    ASSERT_TRUE(tenant.range->map(tenant.first * frame_, tenant.count * frame_).has_value());
    for (size_t k = 0; k < tenant.count; ++k) write(*tenant.range, tenant.first + k, tenant.value);
  }
  tenants.clear();
  EXPECT_EQ(pool_->free_frames(), kFrames);
}

TEST_P(FramePoolTest, ServesSeveralThreads) {
  const auto range = reserve(kFrames);
  std::vector<std::thread> threads;
  for (size_t part = 0; part < 4; ++part) {
    threads.emplace_back([&, part] {
      const size_t bytes = kFrames / 4 * frame_;
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(range->map(part * bytes, bytes).has_value());
        EXPECT_TRUE(range->unmap(part * bytes, bytes).has_value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool_->free_frames(), kFrames);
}

std::vector<std::string> devices() {
  std::vector<std::string> names{"cpu"};
  if (!cuda_devices().empty()) names.push_back("cuda");
  return names;
}
INSTANTIATE_TEST_SUITE_P(Devices, FramePoolTest, testing::ValuesIn(devices()),
                         [](const auto& info) { return info.param; });

TEST(CpuFramePool, GivesMemoryBackToTheSystem) {
  for (const size_t frame : {kMib / 16, 2 * kMib}) {
    const auto device = *open_cpu_device({.threads = 1, .memory_bytes = 256 * kMib});
    const auto pool = *device->create_frame_pool({frame, 128 * kMib / frame}, "weights");
    const auto range = *pool->reserve_addresses(size_t{64} << 30, "far more than there is");
    const int64_t before = base::process_memory().resident;
    ASSERT_TRUE(range->map(32 * kMib, 128 * kMib).has_value());
    const int64_t mapped = base::process_memory().resident;
    ASSERT_TRUE(range->unmap(32 * kMib, 64 * kMib).has_value());
    const int64_t half = base::process_memory().resident;
    constexpr auto kTolerance = static_cast<int64_t>(8 * kMib);
    EXPECT_NEAR(mapped - before, static_cast<int64_t>(128 * kMib), kTolerance);
    EXPECT_NEAR(half - before, static_cast<int64_t>(64 * kMib), kTolerance);
  }
}

TEST(CpuFramePool, ItsMemoryIsAlignedAsFramesAre) {
  const auto device = *open_cpu_device({.threads = 1, .memory_bytes = 256 * kMib});
  const auto pool = *device->create_frame_pool({2 * kMib, 4}, "weights");
  const auto range = *pool->reserve_addresses(2 * kMib, "model");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(range->data()) % (2 * kMib), 0U);
}

}  // namespace
}  // namespace neuros::device
