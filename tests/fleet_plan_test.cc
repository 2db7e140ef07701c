/// Plans of models that share a device: what stays, what is paged, what is made smaller.

#include "plan/fleet_plan.h"

#include "builder/fleet_builder.h"
#include "builder/synth.h"
#include "kernels/op_table.h"
#include "tiny_model.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TinyModel;

constexpr int64_t kFrame = 64 << 10;
constexpr size_t kModels = 3;

base::Result<plan::FleetPlan> plan_for(int64_t memory_bytes, int32_t context = 0,
                                       int64_t kv_host_bytes = 0) {
  static const TinyModel tiny;
  std::vector<builder::FleetModelRequest> requests;
  for (size_t i = 0; i < kModels; ++i) {
    auto program = models::make_program(tiny.checkpoint());
    requests.push_back({&tiny.checkpoint(),
                        std::move(*program),
                        {.workers = 2, .context = context, .batch_tokens = 16, .sequences = 4}});
  }
  return builder::make_fleet_plan(std::move(requests), kernels::ref_ops(),
                                  {.memory_bytes = memory_bytes,
                                   .kv_host = {.bytes = kv_host_bytes, .free_bytes = 0},
                                   .least_frame_bytes = kFrame});
}

int64_t sum_of_fixed(const plan::FleetPlan& fleet) {
  int64_t own = 0, shared = 0;
  for (const plan::Plan& model : fleet.models) {
    own += model.memory.kv + model.memory.activations + model.memory.scratch;
    shared = std::max(shared, model.memory.shared);
  }
  return own + shared;
}

/// The largest, to a few KiB, that weights share frames under.
int64_t first_paged_budget() {
  for (int64_t budget = int64_t{4} << 20; budget > 0; budget -= 8 << 10) {
    const auto fleet = plan_for(budget);
    if (fleet && fleet->pages()) return budget;
  }
  return 0;
}

TEST(FleetPlan, KeepsAllWeightsWhereEverythingFits) {
  const auto fleet = plan_for(int64_t{64} << 20);
  ASSERT_TRUE(fleet.has_value());
  EXPECT_FALSE(fleet->pages());
  EXPECT_EQ(fleet->models.size(), kModels);
  EXPECT_LE(fleet->device_bytes(), int64_t{64} << 20);
  EXPECT_EQ(fleet->device_bytes(),
            sum_of_fixed(*fleet) + static_cast<int64_t>(kModels) * fleet->models[0].memory.weights);
}

/// The plan of one of the models alone, with as much memory as it takes.
plan::Plan plan_alone() {
  static const TinyModel tiny;
  auto program = models::make_program(tiny.checkpoint());
  auto plan = builder::make_plan(
      tiny.checkpoint(), std::move(*program), kernels::ref_ops(),
      {.workers = 2, .memory_bytes = int64_t{64} << 20, .batch_tokens = 16, .sequences = 4});
  CHECK(plan.has_value());
  return std::move(*plan);
}

TEST(FleetPlan, GivesModelsTheMemoryThatTheyTakeInTurn) {
  const plan::Plan alone = plan_alone();
  const auto fleet = plan_for(int64_t{64} << 20);
  ASSERT_TRUE(fleet.has_value());
  EXPECT_EQ(alone.memory.shared, 0);
  const int64_t freed =
      static_cast<int64_t>(kModels) * alone.memory.arena_bytes() - fleet->device_bytes();
  EXPECT_GT(freed, alone.memory.activations) << "two of three shares of it and of scratch";
  EXPECT_THAT(plan::describe(*fleet), HasSubstr("activations: 3 models share "));

  const auto same = plan_for(fleet->device_bytes());
  ASSERT_TRUE(same.has_value()) << "models apart would not fit";
  EXPECT_FALSE(same->pages());
  for (const plan::Plan& model : same->models) {
    EXPECT_EQ(model.kv.pages, alone.kv.pages);
    EXPECT_EQ(model.limits.context, alone.limits.context);
  }
}

TEST(FleetPlan, OfOneModelIsThatOfTheModelAlone) {
  static const TinyModel tiny;
  std::vector<builder::FleetModelRequest> requests;
  requests.push_back({&tiny.checkpoint(),
                      *models::make_program(tiny.checkpoint()),
                      {.workers = 2, .batch_tokens = 16, .sequences = 4}});
  const auto fleet = builder::make_fleet_plan(std::move(requests), kernels::ref_ops(),
                                              {.memory_bytes = int64_t{64} << 20,
                                               .kv_host = {.bytes = 0, .free_bytes = 0},
                                               .least_frame_bytes = kFrame});
  ASSERT_TRUE(fleet.has_value()) << fleet.error().message;
  EXPECT_EQ(plan::describe_json(fleet->models[0]), plan::describe_json(plan_alone()));
  EXPECT_EQ(fleet->memory.shared, 0);
}

TEST(FleetPlan, PagesAndTakesEveryByteOfTheBudgetIntoAccount) {
  const auto whole = plan_for(int64_t{64} << 20);
  ASSERT_TRUE(whole.has_value());
  bool paged = false;
  for (int64_t budget = whole->device_bytes() - 1; budget > 0; budget -= 32 << 10) {
    const auto fleet = plan_for(budget);
    if (!fleet) break;
    if (!fleet->pages()) {
      EXPECT_FALSE(paged) << "weights stay before they are let go";
      ASSERT_LE(fleet->device_bytes(), budget);
      continue;
    }
    paged = true;
    ASSERT_LE(fleet->device_bytes(), budget);
    ASSERT_EQ(fleet->device_bytes(), sum_of_fixed(*fleet) + fleet->frames * fleet->frame_bytes);
    for (const plan::Plan& model : fleet->models) {
      for (const plan::SegmentPlacement& segment : model.segments) {
        ASSERT_EQ(segment.offset % fleet->frame_bytes, 0);
      }
    }
  }
  EXPECT_TRUE(paged);
}

TEST(FleetPlan, DividesTheHostTierAndTakesItOutOfACpusBudget) {
  const auto whole = plan_for(int64_t{64} << 20);
  ASSERT_TRUE(whole.has_value());
  const int64_t budget = whole->device_bytes(), cap = 200 << 10;
  const auto fleet = plan_for(budget, 0, cap);
  ASSERT_TRUE(fleet.has_value()) << fleet.error().message;
  EXPECT_LT(fleet->memory.kv, whole->memory.kv) << "the rest no longer fits";
  EXPECT_EQ(fleet->budget_bytes, budget);
  int64_t sum = 0;
  for (const plan::Plan& model : fleet->models) {
    EXPECT_GT(model.kv.host_pages, 0);
    EXPECT_EQ(model.memory.kv_host, model.kv.host_pages * model.kv.page_bytes);
    sum += model.memory.kv_host;
  }
  EXPECT_EQ(fleet->memory.kv_host, sum);
  EXPECT_LE(sum, cap);
  EXPECT_GT(sum, cap - static_cast<int64_t>(kModels) * fleet->models[0].kv.page_bytes);
  EXPECT_LE(fleet->device_bytes() + sum, budget);
}

TEST(FleetPlan, ShortensContextsBeforeItLetsAModelStream) {
  const auto whole = plan_for(int64_t{64} << 20);
  ASSERT_TRUE(whole.has_value());
  int32_t context = whole->models[0].limits.context;
  bool streamed = false;
  for (int64_t budget = whole->device_bytes(); budget > 0; budget -= 8 << 10) {
    const auto fleet = plan_for(budget);
    if (!fleet) break;
    if (fleet->residency == plan::Residency::kOneAtATime) {
      ASSERT_GE(fleet->frames, fleet->frames_of(fleet->models[0])) << budget;
    }
    if (fleet->residency != plan::Residency::kStreams) continue;
    streamed = true;
    ASSERT_LE(fleet->models[0].limits.context, context) << budget;
    context = fleet->models[0].limits.context;
  }
  EXPECT_TRUE(streamed);
}

/// Two models of 10 MB of weights, and of as much for the keys and values of 2,600 positions.
base::Result<plan::FleetPlan> plan_with_long_contexts(const formats::Checkpoint& checkpoint,
                                                      int64_t memory_bytes, int32_t asked) {
  std::vector<builder::FleetModelRequest> requests;
  for (int i = 0; i < 2; ++i) {
    plan::Program program = models::make_program(checkpoint).value();
    program.context_trained = 16384;
    requests.push_back({&checkpoint,
                        std::move(program),
                        {.workers = 2, .context = asked, .batch_tokens = 16, .sequences = 4}});
  }
  return builder::make_fleet_plan(std::move(requests), kernels::ref_ops(),
                                  {.memory_bytes = memory_bytes, .least_frame_bytes = kFrame});
}

/// The contexts of the tightest plan whose weights all stay.
std::vector<int32_t> contexts_before_weights_leave(const formats::Checkpoint& checkpoint,
                                                   int32_t asked) {
  std::vector<int32_t> contexts;
  for (int64_t budget = int64_t{1} << 30; budget > 0; budget -= 1 << 20) {
    const auto fleet = plan_with_long_contexts(checkpoint, budget, asked);
    if (!fleet || fleet->pages()) break;
    contexts.clear();
    for (const plan::Plan& model : fleet->models) contexts.push_back(model.limits.context);
  }
  return contexts;
}

TEST(FleetPlan, ShortensAContextThatNobodyAskedForBeforeWeightsLeave) {
  const std::string path = ::testing::TempDir() + "/long_context.gguf";
  ASSERT_TRUE(builder::synthesise("llama-small:q8_0", path, nullptr).has_value());
  const formats::Checkpoint checkpoint = formats::open_checkpoint(path).value();
  EXPECT_THAT(contexts_before_weights_leave(checkpoint, 0), ElementsAre(4096, 4096));
  EXPECT_THAT(contexts_before_weights_leave(checkpoint, 16384), ElementsAre(16384, 16384));
}

TEST(FleetPlan, SaysWhatIsNeededWhereNothingFits) {
  const auto fleet = plan_for(100 << 10);
  ASSERT_FALSE(fleet.has_value());
  EXPECT_EQ(fleet.error().kind, base::ErrorKind::kOutOfMemory);
  EXPECT_THAT(fleet.error().message, HasSubstr("of device memory cannot hold"));
}

/// Plans for a model of floats that may go down to q8_0.
class Sensitivity : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "sensitivity.gguf";
    ASSERT_TRUE(builder::synthesise("llama-tiny:bf16", path_, {}).has_value());
    checkpoint_ = std::move(*formats::open_checkpoint(path_));
  }
  void TearDown() override { std::remove(path_.c_str()); }

  using Measure = std::function<base::Result<builder::Importance>()>;
  base::Result<plan::FleetPlan> plan(int64_t memory_bytes, Measure measure) const {
    builder::FleetModelRequest request{
        .checkpoint = &checkpoint_,
        .program = std::move(*models::make_program(checkpoint_)),
        .plan = {.workers = 2, .context = 128, .batch_tokens = 16, .sequences = 1},
        .terms = {.id = "llm", .context_min = 128, .precision = {"bf16", "q8_0"}},
        .measure_importance = std::move(measure)};
    std::vector<builder::FleetModelRequest> requests;
    requests.push_back(std::move(request));
    return builder::make_fleet_plan(std::move(requests), kernels::ref_ops(),
                                    {.memory_bytes = memory_bytes, .least_frame_bytes = kFrame});
  }
  /// A little less than what keeps all precision: one group of weights has to go.
  int64_t scarce_bytes() const {
    int64_t budget = plan(int64_t{64} << 20, {})->device_bytes();
    while (!lowers_any(*plan(budget, {}))) budget -= 64 << 10;
    return budget;
  }
  static bool lowers_any(const plan::FleetPlan& fleet) {
    return std::ranges::any_of(fleet.models[0].weights,
                               &plan::WeightPlacement::is_quantised_at_boot);
  }
  static bool lowers(const plan::FleetPlan& fleet, const std::string& weight) {
    return fleet.models[0].find_weight(weight)->is_quantised_at_boot();
  }
  static bool lowers_feed_forward(const plan::FleetPlan& fleet) {
    return lowers(fleet, "blk.1.ffn_up.weight") || lowers(fleet, "blk.2.ffn_up.weight");
  }

  std::string path_;
  formats::Checkpoint checkpoint_;
};

/// As if nothing of the text reached the attention of the first layer.
base::Result<builder::Importance> first_attention_unused() {
  builder::Importance importance{.source = "30 tokens of x.txt"};
  for (const char* matrix : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
    importance.mean_squares["blk.0." + std::string(matrix) + ".weight"].assign(256, 0.0f);
  }
  return importance;
}

TEST_F(Sensitivity, OfWhatNoActivationReachesIsTheLeast) {
  const int64_t scarce = scarce_bytes();
  const auto by_weights = plan(scarce, {});
  const auto by_products = plan(scarce, first_attention_unused);
  ASSERT_TRUE(by_weights && by_products);
  EXPECT_FALSE(lowers(*by_weights, "blk.0.attn_q.weight"));
  EXPECT_TRUE(lowers_feed_forward(*by_weights)) << "of a middle layer";
  EXPECT_TRUE(lowers(*by_products, "blk.0.attn_q.weight"));
  EXPECT_FALSE(lowers_feed_forward(*by_products));
  EXPECT_THAT(by_products->reasons, Contains("llm: sensitivity from 30 tokens of x.txt"));
}

TEST_F(Sensitivity, IsMeasuredOnceAndOnlyWherePrecisionGoes) {
  int measured = 0;
  const auto measure = [&] {
    ++measured;
    return first_attention_unused();
  };
  const auto whole = plan(int64_t{64} << 20, measure);
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(measured, 0);
  EXPECT_THAT(whole->reasons,
              Contains("llm: keeps its precision, so its sensitivity is not measured"));
  ASSERT_TRUE(plan(scarce_bytes(), measure).has_value());
  EXPECT_EQ(measured, 1);
}

TEST_F(Sensitivity, ThatCannotBeMeasuredIsAnError) {
  const auto fleet = plan(scarce_bytes(), [] { return base::fail("calibration: no memory"); });
  ASSERT_FALSE(fleet.has_value());
  EXPECT_EQ(fleet.error().message, "calibration: no memory");
}

TEST(FleetPlan, EqualInputsGiveEqualPlans) {
  for (const int64_t budget : {int64_t{64} << 20, int64_t{700} << 10}) {
    const auto a = plan_for(budget), b = plan_for(budget);
    ASSERT_EQ(a.has_value(), b.has_value());
    if (a) {
      EXPECT_EQ(plan::describe_json(*a), plan::describe_json(*b));
    }
  }
}

TEST(FleetPlan, IsAPageForPeople) {
  const auto whole = plan_for(int64_t{64} << 20);
  const auto fleet = plan_for(first_paged_budget());
  ASSERT_TRUE(fleet.has_value());
  const std::string page = plan::describe(*fleet);
  EXPECT_THAT(page, HasSubstr("frames of"));
  EXPECT_THAT(page, HasSubstr("why"));
}

}  // namespace
}  // namespace neuros
