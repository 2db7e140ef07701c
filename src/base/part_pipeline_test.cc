#include "base/part_pipeline.h"

#include <atomic>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::base {
namespace {

TEST(PartPipeline, MovesEveryPartOnceAndNoneBeforeItIsAllowed) {
  constexpr size_t kParts = 1000, kPlaces = 5;
  std::vector<int> moved(kParts, 0);
  std::atomic<size_t> used{0}, too_early{0};
  PartPipeline pipeline(kParts, 4, [&](size_t part) -> Result<> {
    if (part >= used + kPlaces) ++too_early;
    ++moved[part];
    return {};
  });
  for (size_t part = 0; part < kParts; ++part) {
    used = part;
    pipeline.allow(part + kPlaces);
    ASSERT_TRUE(pipeline.wait_for(part).has_value());
    EXPECT_EQ(moved[part], 1);
  }
  EXPECT_EQ(too_early, 0U);
}

TEST(PartPipeline, TheFirstErrorEndsIt) {
  std::atomic<size_t> moves{0};
  PartPipeline pipeline(1000, 2, [&](size_t part) -> Result<> {
    ++moves;
    if (part == 3) return base::fail("part 3");
    return {};
  });
  pipeline.allow(1000);
  Result<> result;
  for (size_t part = 0; part < 1000 && result; ++part) result = pipeline.wait_for(part);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message, "part 3");
  EXPECT_LT(moves, 1000U);
}

TEST(PartPipeline, MayEndBeforeItsPartsAreAllowed) {
  PartPipeline pipeline(10, 3, [](size_t) -> Result<> { return {}; });
  pipeline.allow(2);
  EXPECT_TRUE(pipeline.wait_for(1).has_value());
}

}  // namespace
}  // namespace neuros::base
