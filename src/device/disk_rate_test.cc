#include "device/disk_rate.h"

#include "base/testing/temporary_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::device {
namespace {

TEST(DiskRate, IsMeasuredOrSaysWhyNotAndLeavesNothing) {
  const base::testing::TemporaryDirectory folder;
  const auto rate = measure_disk(folder.path(), uint64_t{64} << 20);
  if (rate) {
    EXPECT_GT(*rate, 1e6);
  } else {
    EXPECT_EQ(rate.error().kind, base::ErrorKind::kUnavailable);
    EXPECT_THAT(rate.error().message, ::testing::StartsWith(folder.path()));
  }
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(DiskRate, TooLittleRoomIsAReasonWithNumbers) {
  const base::testing::TemporaryDirectory folder;
  const auto rate = measure_disk(folder.path(), uint64_t{1} << 56);
  ASSERT_FALSE(rate.has_value());
  EXPECT_EQ(rate.error().kind, base::ErrorKind::kUnavailable);
  EXPECT_THAT(rate.error().message,
              ::testing::MatchesRegex(".*: [0-9]+ MiB are free, measuring takes 137438953472 MiB"));
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(DiskRate, NamesWhatIsMounted) {
  const DiskProfile disk = describe_disk("/proc");
  EXPECT_EQ(disk.path, "/proc");
  EXPECT_EQ(disk.file_system, "proc");
  EXPECT_EQ(describe_disk("/no such folder").file_system, "");
}

}  // namespace
}  // namespace neuros::device
