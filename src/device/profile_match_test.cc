#include "device/profile_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::device {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

HardwareProfile machine() {
  HardwareProfile profile;
  profile.processor.emplace();
  profile.processor->cores = 16;
  profile.processor->memory_bytes = 64'000'000'000;
  profile.processor->levels = {base::CpuLevel::kGeneric, base::CpuLevel::kAvx2};
  profile.processor->read_bytes_per_s = 1e11;
  GpuProfile gpu;
  gpu.name = "Card";
  gpu.compute_capability = {9, 0};
  gpu.multiprocessors = 100;
  gpu.memory_bytes = 80'000'000'000;
  gpu.pinned_limit_bytes = 56'000'000'000;
  gpu.copy_bytes_per_s = 3e12;
  profile.gpus = {gpu};
  return profile;
}

TEST(ProfileMatch, AMachineMatchesItself) {
  EXPECT_TRUE(check_match(machine(), machine()).has_value());
  EXPECT_THAT(match_profiles(machine(), machine()).warnings, IsEmpty());
}

TEST(ProfileMatch, MoreIsNoDifference) {
  HardwareProfile here = machine();
  here.processor->cores = 32;
  here.processor->levels.push_back(base::CpuLevel::kAvx512);
  here.gpus[0].memory_bytes *= 2;
  here.gpus.push_back(here.gpus[0]);
  EXPECT_TRUE(check_match(machine(), here).has_value());
}

TEST(ProfileMatch, EveryDifferenceIsNamedWithBothValues) {
  HardwareProfile here = machine();
  here.processor->cores = 8;
  here.processor->levels = {base::CpuLevel::kGeneric};
  here.processor->memory_bytes = 32'000'000'000;
  here.gpus[0].compute_capability = {8, 9};
  here.gpus[0].memory_bytes = 24'000'000'000;
  here.gpus[0].pinned_limit_bytes = 28'000'000'000;
  EXPECT_THAT(match_profiles(machine(), here).refusals,
              ElementsAre("processor.cores: planned for 16, here 8",
                          "processor.memory_bytes: planned for 64.0 GB, here 32.0 GB",
                          "processor.levels: planned for avx2, here generic",
                          "gpus[0].compute_capability: planned for 9.0 (Card), here 8.9 (Card)",
                          "gpus[0].memory_bytes: planned for 80.0 GB, here 24.0 GB",
                          "gpus[0].pinned_limit_bytes: planned for 56.0 GB, here 28.0 GB"));
  const auto checked = check_match(machine(), here);
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().kind, base::ErrorKind::kUnsupported);
  EXPECT_THAT(checked.error().message, ::testing::HasSubstr("planned for 16, here 8; processor"));
}

TEST(ProfileMatch, AMissingGpuIsNamed) {
  HardwareProfile here = machine();
  here.gpus.clear();
  EXPECT_THAT(match_profiles(machine(), here).refusals, ElementsAre("gpus: planned for 1, here 0"));
}

TEST(ProfileMatch, ForgivesWhatDriversKeepOfTheMemory) {
  HardwareProfile here = machine();
  here.gpus[0].memory_bytes = 78'000'000'000;
  EXPECT_TRUE(check_match(machine(), here).has_value());
}

TEST(ProfileMatch, SlowerIsAWarning) {
  HardwareProfile planned = machine(), here = machine();
  here.gpus[0].multiprocessors = 90;
  here.gpus[0].copy_bytes_per_s = 2e12;
  here.processor->read_bytes_per_s = 9e10;  // within what is forgiven
  EXPECT_TRUE(check_match(planned, here).has_value());
  EXPECT_THAT(match_profiles(planned, here).warnings,
              ElementsAre("gpus[0].multiprocessors: planned for 100, here 90",
                          "gpus[0].copy_bytes_per_s: planned for 3000.0 G/s, here 2000.0 G/s"));
  planned.source = ProfileSource::kPublished;
  EXPECT_EQ(match_profiles(planned, here).warnings.size(), 1U);
}

TEST(ProfileMatch, AProfileOfCardsAsksNothingOfTheProcessor) {
  HardwareProfile planned = machine(), here = machine();
  planned.processor.reset();
  here.processor->cores = 1;
  EXPECT_TRUE(check_match(planned, here).has_value());
}

}  // namespace
}  // namespace neuros::device
