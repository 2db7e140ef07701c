#include "pipeline/shared_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::pipeline {
namespace {

using ::testing::ElementsAre;

TEST(SharedModels, OneFileIsOneModelWithSeveralNames) {
  const SharedModels shared = share_models(
      {{.path = "x/a.gguf"}, {.path = "b.gguf"}, {.path = "x/../x/./a.gguf"}, {.path = "a.gguf"}});
  EXPECT_THAT(shared.of_name, ElementsAre(0, 1, 0, 2));
  EXPECT_EQ(shared.models.size(), 3U);
}

TEST(SharedModels, AskForWhatAllOfTheirNamesDo) {
  const SharedModels shared =
      share_models({{.path = "a",
                     .context = 4096,
                     .parallel = 2,
                     .scratch_bytes = 10,
                     .terms = {.priority = sched::Priority::kLow, .context_min = 1024}},
                    {.path = "a",
                     .context = 2048,
                     .parallel = 3,
                     .scratch_bytes = 5,
                     .terms = {.priority = sched::Priority::kCritical, .pin = true},
                     .calibration = "notes.txt",
                     .home = plan::Home::kDisk}});
  ASSERT_EQ(shared.models.size(), 1U);
  const FleetModelOptions& model = shared.models[0];
  EXPECT_EQ(model.context, 4096);
  EXPECT_EQ(model.terms.context_min, 2048) << "the second may not be shorter";
  EXPECT_EQ(model.parallel, 5);
  EXPECT_EQ(model.scratch_bytes, 15);
  EXPECT_EQ(model.terms.priority, sched::Priority::kCritical);
  EXPECT_TRUE(model.terms.pin);
  EXPECT_EQ(model.home, plan::Home::kDisk);
  EXPECT_EQ(model.calibration, "notes.txt");
}

TEST(SharedModels, OtherTypesAreOtherModels) {
  const SharedModels shared = share_models({{.path = "a"},
                                            {.path = "a", .kv_dtype = base::DType::kF32},
                                            {.path = "a", .terms = {.precision = {"q8_0"}}}});
  EXPECT_THAT(shared.of_name, ElementsAre(0, 1, 2));
}

TEST(SharedModels, GroupsAreOfThoseThatAreThere) {
  const SharedModels shared = share_models({{.path = "a"}, {.path = "a"}, {.path = "b"}});
  const FleetWishes wishes = share_models({.together = {{0, 1}, {0, 2}, {1, 2}}}, shared);
  EXPECT_THAT(wishes.together, ElementsAre(ElementsAre(0, 1)));
}

}  // namespace
}  // namespace neuros::pipeline
