#include "device/measure_profile.h"

#include "base/testing/temporary_directory.h"
#include "device/hardware_profile_yaml.h"
#include "device/host_memory.h"
#include "device/profile_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::device {
namespace {

TEST(MeasureProfile, OfThisMachineIsWholeAndReadBack) {
  const base::testing::TemporaryDirectory folder;
  std::vector<std::string> parts;
  const auto profile = measure_profile({.threads = 1,
                                        .disk_folder = folder.path(),
                                        .memory_bytes = size_t{16} << 20,
                                        .disk_bytes = uint64_t{64} << 20},
                                       [&](std::string_view part, double done) {
                                         EXPECT_LT(done, 1.0);
                                         parts.emplace_back(part);
                                       });
  ASSERT_TRUE(profile.has_value()) << profile.error().message;
  EXPECT_GT(profile->processor->read_bytes_per_s, 1e8);
  EXPECT_EQ(profile->processor->measured_threads, 1);
  ASSERT_EQ(profile->disks.size(), 1U);
  EXPECT_EQ(profile->disks[0].read_bytes_per_s == 0, !profile->notes.empty());
  for (const GpuProfile& gpu : profile->gpus) {
    EXPECT_GT(gpu.copy_bytes_per_s, 1e10) << gpu.name;
    EXPECT_GT(gpu.f16_flops_per_s, 1e12) << gpu.name;
    EXPECT_GT(gpu.pinned_upload_bytes_per_s, 1e9) << gpu.name;
    EXPECT_GT(gpu.pageable_download_bytes_per_s, 1e8) << gpu.name;
  }
  EXPECT_EQ(parts.size(), 2 + profile->gpus.size());
  const auto again = parse_profile_yaml(write_profile_yaml(*profile), "machine.yaml");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_TRUE(check_match(*again, *profile).has_value());
}

TEST(MeasureProfile, ProbingMatchesItself) {
  const auto first = probe_profile(), second = probe_profile();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_TRUE(check_match(*first, *second).has_value());
  EXPECT_GT(first->processor->cores, 0);
}

TEST(MeasureProfile, AFolderThatIsNotThereIsAnError) {
  const auto profile = measure_profile(
      {.threads = 1, .disk_folder = "/no such folder", .memory_bytes = size_t{4} << 20},
      [](std::string_view, double) {});
  ASSERT_FALSE(profile.has_value());
  EXPECT_EQ(profile.error().kind, base::ErrorKind::kNotFound);
}

TEST(PinnedLimit, IsLessThanTheMachinesMemory) {
  const auto profile = probe_profile();
  EXPECT_GT(pinned_limit_bytes(), 0);
  EXPECT_LT(pinned_limit_bytes(), profile->processor->memory_bytes);
}

}  // namespace
}  // namespace neuros::device
