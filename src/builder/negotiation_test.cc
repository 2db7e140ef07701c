/// What models give up where memory is short, in which order, and what is said of it.

#include "builder/negotiation.h"

#include "builder/conflict.h"
#include "builder/footprint.h"

#include <algorithm>
#include <chrono>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using plan::Residency;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kMiB = int64_t{1} << 20, kGiB = int64_t{1} << 30;
constexpr int64_t kGB = 1'000'000'000;

struct Shape {
  std::string id;
  int64_t weight_bytes = 0;  ///< at the best precision
  int32_t layers = 32;
  int64_t kv_bytes_per_token = 0;
  int64_t fixed_bytes = 64 * kMiB, shared_bytes = 0;
  int32_t context = 8192, context_min = 8192, context_least = 8192, full_contexts = 4;
  sched::Priority priority = sched::Priority::kMedium;
};

/// A model whose layers are a third attention and two thirds feed-forward. Each further level has
/// half the bytes and forty times the error.
ModelDemand model(const Shape& shape, std::vector<std::string> levels = {"bf16"}) {
  ModelDemand demand{.id = shape.id,
                     .priority = shape.priority,
                     .context = shape.context,
                     .context_min = shape.context_min,
                     .context_least = std::min(shape.context_min, shape.context_least),
                     .full_contexts = shape.full_contexts,
                     .levels = std::move(levels)};
  const int64_t layer = shape.weight_bytes / shape.layers;
  for (int32_t i = 0; i < shape.layers; ++i) {
    demand.segment_bytes.push_back(0);
    demand.steps.push_back({i});
    for (const bool attention : {true, false}) {
      WeightGroup group{.name = "blk." + std::to_string(i) + (attention ? ".attn" : ".ffn"),
                        .segment = i,
                        .care = (attention ? 2.0 : 1.0) * (i < shape.layers / 8 ? 4.0 : 1.0)};
      double error = 0;
      for (size_t level = 0; level < demand.levels.size(); ++level) {
        group.bytes.push_back((attention ? layer / 3 : layer - layer / 3) >> level);
        group.error.push_back(error);
        error = error == 0 ? 1e-4 : error * 40;
      }
      demand.groups.push_back(std::move(group));
    }
  }
  demand.work_bytes = [shape](int32_t context, int32_t contexts) -> WorkBytes {
    return {.own = shape.fixed_bytes + shape.kv_bytes_per_token * context * contexts,
            .shared = shape.shared_bytes};
  };
  return demand;
}

FleetDemand fleet(std::vector<ModelDemand> models, int64_t memory_bytes) {
  return {.models = std::move(models), .memory_bytes = memory_bytes, .frame_bytes = 2 * kMiB};
}

Agreement agree(const FleetDemand& demand) {
  auto agreement = negotiate(demand);
  EXPECT_TRUE(agreement.has_value()) << agreement.error().message;
  if (!agreement) return {};
  EXPECT_LE(footprint(demand, agreement->models, agreement->residency), demand.memory_bytes);
  return std::move(*agreement);
}

/// An 8B model in bf16: 16 GB, 128 KiB of keys and values for each token.
Shape eight_b(const std::string& id) {
  return {.id = id, .weight_bytes = 16 * kGB, .kv_bytes_per_token = 128 << 10};
}

TEST(Negotiation, GrantsEverythingWhereItFits) {
  const Agreement agreement = agree(fleet({model(eight_b("llm"))}, 24 * kGB));
  EXPECT_EQ(agreement.residency, Residency::kAllStay);
  EXPECT_EQ(agreement.models[0].full_contexts, 4);
  EXPECT_EQ(agreement.models[0].context, 8192);
  EXPECT_EQ(agreement.reasons.size(), 1U) << "nothing was given up";
}

TEST(Negotiation, GivesRoomForKeysAndValuesUpFirst) {
  const Agreement agreement = agree(fleet({model(eight_b("llm"))}, 19 * kGB));
  EXPECT_EQ(agreement.residency, Residency::kAllStay);
  EXPECT_EQ(agreement.models[0].full_contexts, 2);
  EXPECT_EQ(agreement.models[0].context, 8192);
  EXPECT_THAT(agreement.reasons, Contains("llm: keys and values for 2 of 4 full contexts"));
}

TEST(Negotiation, CountsWhatModelsTakeInTurnOnce) {
  Shape a = eight_b("a"), b = eight_b("b"), c = eight_b("c");
  a.shared_bytes = kGiB, b.shared_bytes = 2 * kGiB, c.shared_bytes = kGiB;
  FleetDemand demand = fleet({model(a), model(b), model(c)}, 80 * kGB);
  std::vector<ModelGrant> wishes;
  for (const ModelDemand& each : demand.models) wishes.push_back(wish_of(each));
  demand.memory_bytes = footprint(demand, wishes, Residency::kAllStay);
  EXPECT_EQ(work_bytes(demand, wishes), 3 * (64 * kMiB + 4 * kGiB) + 2 * kGiB);
  for (const ModelGrant& grant : agree(demand).models) EXPECT_EQ(grant.full_contexts, 4);
  for (ModelDemand& each : demand.models) {
    each.work_bytes = [apart = each.work_bytes](int32_t context, int32_t contexts) -> WorkBytes {
      const WorkBytes bytes = apart(context, contexts);
      return {.own = bytes.own + bytes.shared};
    };
  }
  const auto has_room = [](const ModelGrant& grant) { return grant.full_contexts == 4; };
  EXPECT_FALSE(std::ranges::all_of(agree(demand).models, has_room)) << "2 GiB are missing";
}

TEST(Negotiation, TakesTheLargestScratchOfAll) {
  FleetDemand demand = fleet({model(eight_b("a")), model(eight_b("b"))}, 80 * kGB);
  const std::vector<ModelGrant> wishes{wish_of(demand.models[0]), wish_of(demand.models[1])};
  const int64_t without = work_bytes(demand, wishes);
  demand.models[0].scratch_bytes = kGiB;
  demand.models[1].scratch_bytes = 3 * kGiB;
  EXPECT_EQ(work_bytes(demand, wishes), without + 3 * kGiB) << "one of them works at a time";
}

TEST(Negotiation, LetsWeightsComeAndGoBeforeItShortensAContextUnasked) {
  Shape a = eight_b("a"), b = eight_b("b");
  a.context_least = b.context_least = 1024;
  const Agreement agreement = agree(fleet({model(a), model(b)}, 24 * kGB));
  EXPECT_EQ(agreement.residency, Residency::kOneAtATime);
  for (const ModelGrant& grant : agreement.models) EXPECT_EQ(grant.context, 8192);
  EXPECT_GT(agreement.models[0].full_contexts, 1) << "room is asked for anew where weights go";
}

TEST(Negotiation, ShortensAContextThatMayBeShorterBeforeItLetsWeightsGo) {
  Shape a = eight_b("a"), b = eight_b("b");
  a.full_contexts = b.full_contexts = 1;
  a.context_min = b.context_min = 4096;
  const Agreement agreement = agree(fleet({model(a), model(b)}, 34 * kGB));
  EXPECT_EQ(agreement.residency, Residency::kAllStay);
  EXPECT_EQ(agreement.models[0].context + agreement.models[1].context, 8192 + 4096);
}

TEST(Negotiation, KeepsModelsTogetherThatWorkAtTheSameTime) {
  Shape small = eight_b("small");
  small.weight_bytes = 3 * kGB;
  FleetDemand demand = fleet({model(eight_b("a")), model(eight_b("b")), model(small)}, 26 * kGB);
  demand.together = {{0, 2}};
  const Agreement agreement = agree(demand);
  EXPECT_EQ(agreement.residency, Residency::kTogether);
  const int64_t frames = weight_frames(demand.models[0], agreement.models[0], 2 * kMiB) +
                         weight_frames(demand.models[2], agreement.models[2], 2 * kMiB);
  EXPECT_LE(frames * 2 * kMiB + work_bytes(demand, agreement.models), demand.memory_bytes);
}

// The case of the paper: a speech model that needs 4 GB of scratch beside a language model.
TEST(Negotiation, ScratchOfASpeechModelHalvesTheContextOfTheLanguageModel) {
  Shape llm = eight_b("llm");
  llm.context_min = 4096;
  llm.full_contexts = 1;
  llm.priority = sched::Priority::kCritical;
  const Shape speech{.id = "ears",
                     .weight_bytes = 3 * kGB,
                     .context = 448,
                     .context_min = 448,
                     .full_contexts = 1};
  FleetDemand demand = fleet({model(llm), model(speech)}, 24 * kGB);
  for (ModelDemand& each : demand.models) each.pin = true;
  EXPECT_EQ(agree(demand).models[0].context, 8192) << "without the scratch there is room";
  demand.models[1].scratch_bytes = 4 * kGB;
  const Agreement agreement = agree(demand);
  EXPECT_EQ(agreement.residency, Residency::kAllStay);
  EXPECT_EQ(agreement.models[0].context, 4096);
  EXPECT_THAT(agreement.reasons, Contains("llm: context 8192 -> 4096, 512 MiB less"));
}

// The fleet of the paper: 60, 14 and 3 GB of weights on a card of 80 GB.
TEST(Negotiation, SixtyAndFourteenAndThreeGigabytesStayOnEighty) {
  Shape large{.id = "large",
              .weight_bytes = 60 * kGB,
              .layers = 80,
              .kv_bytes_per_token = 320 << 10,
              .context = 8192,
              .context_min = 4096};
  large.fixed_bytes = 300 * kMiB;
  Shape medium{.id = "medium",
               .weight_bytes = 14 * kGB,
               .layers = 28,
               .kv_bytes_per_token = 56 << 10,
               .context = 8192,
               .context_min = 4096};
  Shape small{.id = "small",
              .weight_bytes = 3 * kGB,
              .layers = 24,
              .context = 512,
              .context_min = 512,
              .full_contexts = 1};
  const FleetDemand demand = fleet({model(large), model(medium), model(small)}, 80 * kGB);
  const Agreement agreement = agree(demand);
  EXPECT_EQ(agreement.residency, Residency::kAllStay) << "no weights ever move";
  for (const ModelGrant& grant : agreement.models) EXPECT_THAT(grant.levels, Each(0));
}

TEST(Negotiation, ShortensTheContextOfTheLeastImportantModelFirst) {
  Shape chat = eight_b("chat"), batch = eight_b("batch");
  chat.full_contexts = batch.full_contexts = 1;
  chat.context_min = batch.context_min = 1024;
  batch.priority = sched::Priority::kLow;
  chat.priority = sched::Priority::kCritical;
  FleetDemand demand = fleet({model(chat), model(batch)}, 33'350'000'000);
  for (ModelDemand& each : demand.models) each.pin = true;
  const Agreement agreement = agree(demand);
  EXPECT_EQ(agreement.models[1].context, 1024);
  EXPECT_EQ(agreement.models[0].context, 8192);
}

TEST(Negotiation, TakesTheLeastQuantisationThatFits) {
  Shape shape = eight_b("llm");
  shape.full_contexts = 1;
  const FleetDemand demand = fleet({model(shape, {"bf16", "q8_0", "q4_k"})}, 14 * kGB);
  const Agreement agreement = agree(demand);
  EXPECT_EQ(agreement.residency, Residency::kAllStay);
  const std::vector<int32_t>& levels = agreement.models[0].levels;
  EXPECT_THAT(levels, Contains(0)) << "some keep all of it";
  EXPECT_THAT(levels, Each(::testing::Le(1))) << "none goes further while others have not gone";
  EXPECT_THAT(agreement.reasons, Contains(HasSubstr("llm: q8_0 for")));
  for (size_t i = 0; i < levels.size(); ++i) {
    ModelGrant finer = agreement.models[0];
    if (finer.levels[i] == 0) continue;
    finer.levels[i] = 0;
    EXPECT_GT(footprint(demand, std::vector{finer}, Residency::kAllStay), demand.memory_bytes)
        << demand.models[0].groups[i].name << " need not have been quantised";
  }
}

TEST(Negotiation, QuantisesMiddleFeedForwardFirstAndTheFirstAttentionLast) {
  Shape shape = eight_b("llm");
  shape.full_contexts = 1;
  for (const int64_t budget : {16 * kGB, 14 * kGB, 12 * kGB, 10 * kGB}) {
    const FleetDemand demand = fleet({model(shape, {"bf16", "q8_0"})}, budget);
    const Agreement agreement = agree(demand);
    double most_care_quantised = 0, least_care_kept = 100;
    for (size_t i = 0; i < demand.models[0].groups.size(); ++i) {
      const WeightGroup& group = demand.models[0].groups[i];
      if (agreement.models[0].levels[i] > 0) {
        most_care_quantised = std::max(most_care_quantised, group.care);
      } else {
        least_care_kept = std::min(least_care_kept, group.care);
      }
    }
    EXPECT_LE(most_care_quantised, least_care_kept) << budget;
  }
}

TEST(Negotiation, SpendsPrecisionOnTheCriticalModel) {
  Shape critical = eight_b("critical"), low = eight_b("low");
  critical.priority = sched::Priority::kCritical;
  low.priority = sched::Priority::kLow;
  critical.full_contexts = low.full_contexts = 1;
  FleetDemand demand =
      fleet({model(critical, {"bf16", "q8_0"}), model(low, {"bf16", "q8_0"})}, 28 * kGB);
  for (ModelDemand& each : demand.models) each.pin = true;
  const Agreement agreement = agree(demand);
  const auto quantised = [&](size_t i) {
    return std::ranges::count(agreement.models[i].levels, 1);
  };
  EXPECT_GT(quantised(1), 4 * quantised(0));
}

TEST(Negotiation, QuantisesWhereWeightsWouldComeTooLate) {
  std::vector<std::string> levels{"bf16", "q8_0", "q4_k"};
  Shape a = eight_b("a"), b = eight_b("b");
  FleetDemand demand = fleet({model(a, levels), model(b, levels)}, 24 * kGB);
  for (ModelDemand& each : demand.models) each.onload_bytes_per_s = 50e9;
  EXPECT_EQ(agree(demand).residency, Residency::kOneAtATime) << "nothing was asked for";
  demand.onload_us_max = 100'000;  // of 320 ms
  const Agreement quick = agree(demand);
  EXPECT_TRUE(quick.residency == Residency::kAllStay || onload_us(demand, quick.models) <= 100'000);
  demand.models[0].onload_bytes_per_s = demand.models[1].onload_bytes_per_s = 50e6;
  demand.memory_bytes = 8 * kGB;
  const Agreement slow = agree(demand);
  EXPECT_THAT(slow.reasons, Contains(AllOf(HasSubstr("objective"), HasSubstr("not kept"))));
}

TEST(Negotiation, StreamsAModelThatDoesNotFitEvenAlone) {
  Shape shape = eight_b("llm");
  shape.context_min = 1024;
  const Agreement agreement = agree(fleet({model(shape)}, 8 * kGB));
  EXPECT_EQ(agreement.residency, Residency::kStreams);
  EXPECT_THAT(agreement.reasons, Contains(HasSubstr("come and go in every pass")));
}

TEST(Negotiation, NamesTheDemandsThatConflict) {
  Shape llm = eight_b("llm"), other = eight_b("other");
  Shape ears{
      .id = "ears", .weight_bytes = kGB, .context = 448, .context_min = 448, .full_contexts = 1};
  FleetDemand demand = fleet({model(other), model(llm), model(ears)}, 20 * kGB);
  demand.models[1].pin = true;
  demand.models[2].scratch_bytes = 6 * kGB;
  const auto agreement = negotiate(demand);
  ASSERT_FALSE(agreement.has_value());
  EXPECT_EQ(agreement.error().kind, base::ErrorKind::kOutOfMemory);
  EXPECT_THAT(
      agreement.error().message,
      AllOf(HasSubstr("llm (pinned weights of 15259 MiB"), HasSubstr("ears ("),
            HasSubstr("scratch of 5723 MiB"), Not(HasSubstr("other")), Not(HasSubstr("context"))));
}

TEST(Negotiation, AConflictIsSmallestAndNeedsAllItNames) {
  Shape llm = eight_b("llm");
  FleetDemand demand = fleet({model(llm)}, kGiB);
  EXPECT_THAT(negotiate(demand).error().message,
              AllOf(HasSubstr("a context of 8192"), Not(HasSubstr("scratch"))));
  demand.memory_bytes = 300 * kMiB;
  EXPECT_THAT(negotiate(demand).error().message, Not(HasSubstr("context")));
}

TEST(Negotiation, PlansEightModelsInSecondsAndAlike) {
  std::vector<ModelDemand> models;
  for (int i = 0; i < 8; ++i) {
    Shape shape = eight_b("model" + std::to_string(i));
    shape.layers = 80;
    shape.context_min = 1024;
    shape.priority = static_cast<sched::Priority>(i % 3);
    models.push_back(model(shape, {"bf16", "q8_0", "q5_k", "q4_k"}));
    models.back().pin = true;
  }
  const FleetDemand demand = fleet(std::move(models), 60 * kGB);
  const Agreement first = agree(demand), second = agree(demand);
  EXPECT_EQ(first.reasons, second.reasons);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(first.models[i].levels, second.models[i].levels);
}

// Whatever is asked for: what is agreed on fits, nothing is beneath what will do, and nothing could
// be given back.
TEST(Negotiation, HoldsForRandomFleets) {
  std::mt19937 random(7);
  const auto pick = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<ModelDemand> models;
    const int64_t count = pick(1, 5);
    for (int64_t i = 0; i < count; ++i) {
      Shape shape{.id = "m" + std::to_string(i),
                  .weight_bytes = pick(1, 400) * 50 * kMiB,
                  .layers = static_cast<int32_t>(pick(1, 40)),
                  .kv_bytes_per_token = pick(0, 256) << 10,
                  .fixed_bytes = pick(1, 500) * kMiB,
                  .context = static_cast<int32_t>(pick(256, 32768)),
                  .full_contexts = static_cast<int32_t>(pick(1, 6)),
                  .priority = static_cast<sched::Priority>(pick(0, 2))};
      shape.context_min = static_cast<int32_t>(pick(256, shape.context));
      shape.context_least = static_cast<int32_t>(pick(256, shape.context_min));
      const size_t depth = static_cast<size_t>(pick(1, 3));
      models.push_back(model(shape, std::vector<std::string>(depth, "type")));
      models.back().pin = pick(0, 3) == 0;
    }
    const FleetDemand demand = fleet(std::move(models), pick(1, 40) * kGB);
    const auto agreement = negotiate(demand);
    ASSERT_EQ(agreement.has_value(), is_feasible(demand)) << round;
    if (!agreement) continue;
    ASSERT_LE(footprint(demand, agreement->models, agreement->residency), demand.memory_bytes);
    for (size_t i = 0; i < demand.models.size(); ++i) {
      const ModelGrant& grant = agreement->models[i];
      ASSERT_GE(grant.context, demand.models[i].context_least);
      ASSERT_LE(grant.context, demand.models[i].context);
      ASSERT_GE(grant.full_contexts, 1);
      if (grant.full_contexts == demand.models[i].full_contexts) continue;
      std::vector<ModelGrant> more = agreement->models;
      ++more[i].full_contexts;
      ASSERT_GT(footprint(demand, more, agreement->residency), demand.memory_bytes) << round;
    }
  }
}

}  // namespace
}  // namespace neuros::builder
