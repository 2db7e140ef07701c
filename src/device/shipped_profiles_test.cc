#include "device/shipped_profiles.h"

#include "device/hardware_profile_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::device {
namespace {

using ::testing::HasSubstr;

TEST(ShippedProfiles, EachIsOnePublishedCard) {
  EXPECT_GE(shipped_profiles().size(), 5U);
  for (const base::EmbeddedFile& shipped : shipped_profiles()) {
    const auto profile = open_profile(std::string(shipped.name));
    ASSERT_TRUE(profile.has_value()) << profile.error().message;
    EXPECT_EQ(profile->source, ProfileSource::kPublished) << shipped.name;
    EXPECT_FALSE(profile->processor.has_value()) << shipped.name;
    ASSERT_EQ(profile->gpus.size(), 1U) << shipped.name;
    const GpuProfile& gpu = profile->gpus.front();
    EXPECT_GT(gpu.copy_bytes_per_s, 1e11) << shipped.name;
    EXPECT_GT(gpu.f16_flops_per_s, 1e13) << shipped.name;
    EXPECT_GT(gpu.l1_bytes_per_multiprocessor, gpu.shared_bytes_per_block) << shipped.name;
    EXPECT_FALSE(profile->notes.empty()) << shipped.name << " does not say where it is from";
  }
}

TEST(ShippedProfiles, AreFoundByNameOrPath) {
  const auto by_name = open_profile("rtx-4090");
  const auto by_path = open_profile(std::string(NEUROS_SOURCE_DIR) + "/profiles/rtx-4090.yaml");
  ASSERT_TRUE(by_name.has_value() && by_path.has_value());
  EXPECT_EQ(write_profile_yaml(*by_name), write_profile_yaml(*by_path));
  const auto neither = open_profile("rtx-9999");
  ASSERT_FALSE(neither.has_value());
  EXPECT_EQ(neither.error().kind, base::ErrorKind::kNotFound);
  EXPECT_THAT(neither.error().message, HasSubstr("rtx-9999: no such file, and none of"));
  EXPECT_THAT(neither.error().message, HasSubstr("rtx-4090"));
}

}  // namespace
}  // namespace neuros::device
