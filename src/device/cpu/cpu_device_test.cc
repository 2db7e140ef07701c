#include "device/cpu/cpu_device.h"

#include "base/thread_pool.h"

#include <gtest/gtest.h>

namespace neuros::device {
namespace {

TEST(CpuDevice, ReservesWithinItsBudgetAndTakesMemoryBack) {
  auto device = open_cpu_device({.threads = 1, .memory_bytes = size_t{8} << 20});
  ASSERT_TRUE(device.has_value());
  {
    auto first = (*device)->reserve(size_t{6} << 20, "first");
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(first->data()[12345], std::byte{0});
    auto second = (*device)->reserve(size_t{4} << 20, "weights of x");
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().kind, base::ErrorKind::kOutOfMemory);
    EXPECT_EQ(second.error().message, "cpu: weights of x: asked for 4 MiB, free 2 MiB of 8 MiB");
  }
  EXPECT_TRUE((*device)->reserve(size_t{8} << 20, "again").has_value());
}

TEST(CpuDevice, StreamHasTheAskedNumberOfWorkers) {
  auto device = open_cpu_device({.threads = 2, .memory_bytes = 0});
  ASSERT_TRUE(device.has_value());
  auto stream = (*device)->create_stream();
  ASSERT_TRUE(stream.has_value());
  EXPECT_EQ((*stream)->cpu_workers()->size(), 2);
}

TEST(CpuDevice, ThereIsAtLeastOneCore) {
  EXPECT_FALSE(physical_cores().empty());
}

}  // namespace
}  // namespace neuros::device
