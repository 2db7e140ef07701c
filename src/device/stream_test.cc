#include "base/thread_pool.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda_device.h"
#include "device/device.h"

#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::device {
namespace {

std::vector<std::unique_ptr<Device>> devices() {
  std::vector<std::unique_ptr<Device>> all;
  all.push_back(*open_cpu_device({.threads = 1, .memory_bytes = 0}));
  if (!cuda_devices().empty()) all.push_back(*open_cuda_device({}));
  return all;
}

TEST(Stream, WaitsForAnEventOfAnother) {
  constexpr size_t kBytes = size_t{16} << 20;
  for (const auto& device : devices()) {
    const auto copies = *device->create_stream({.priority = StreamOptions::Priority::kLow});
    const auto work = *device->create_stream();
    const auto host = *device->reserve_host(kBytes, "source");
    const auto back = *device->reserve_host(kBytes, "what came");
    const auto place = *device->reserve(kBytes, "destination");
    const auto event = copies->create_event();
    work->wait_for(*event);  // nothing was recorded yet
    for (int round = 1; round < 20; ++round) {
      std::memset(host.data(), round, kBytes);
      copies->copy(place.data(), host.data(), kBytes);
      event->record();
      work->wait_for(*event);
      work->copy(back.data(), place.data(), kBytes);
      ASSERT_TRUE(work->synchronize().has_value());
      EXPECT_EQ(std::memcmp(back.data(), host.data(), kBytes), 0) << device->name();
    }
  }
}

TEST(Stream, OfLowPriorityOnTheHostHasOneWorker) {
  const auto device = *open_cpu_device({.threads = 2, .memory_bytes = 0});
  const auto stream = *device->create_stream({.priority = StreamOptions::Priority::kLow});
  EXPECT_EQ(stream->cpu_workers()->size(), 1);
}

}  // namespace
}  // namespace neuros::device
