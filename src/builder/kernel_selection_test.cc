#include "builder/kernel_selection.h"

#include "builder/builder.h"
#include "builder/synth.h"
#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using base::DType;
using kernels::ChoiceKey;
using kernels::ChoiceOp;
using plan::KernelChoice;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kKind = "sm_90/132";

/// The reference with ways as a GPU's kernels have; they do not take gate and up of f16 together.
kernels::OpTable choosing_ops() {
  kernels::OpTable ops = kernels::ref_ops();
  ops.choice_values = [](std::string_view kind, const ChoiceKey& key) -> std::vector<int32_t> {
    if (kind != kKind) return {};
    if (key.op == ChoiceOp::kDecodeManyGated && key.dtype == DType::kF16) return {};
    if (key.op == ChoiceOp::kDecodeStep) return {1, 0};
    const bool many = key.op == ChoiceOp::kDecodeMany || key.op == ChoiceOp::kDecodeManyGated;
    return many ? std::vector<int32_t>{8, 6} : std::vector<int32_t>{256, 64, 128};
  };
  ops.shipped_choices = []() -> std::string_view {
    return "neuros kernel choices 1\n"
           "sm_90/132 prompt q8_0 256 256 128 64 1 2\n"
           "sm_90/114 prompt q8_0 256 256 64 128 1 2\n";
  };
  return ops;
}

base::Result<plan::Plan> plan_tiny(const kernels::OpTable& ops, const std::string& type,
                                   const char* kind = kKind,
                                   const std::vector<kernels::ChoiceRow>* choices = nullptr) {
  const SynthOutline outline = TRY(outline_synth("llama-tiny:" + type));
  plan::Program program = TRY(models::make_program(outline.checkpoint));
  return make_plan(outline.checkpoint, std::move(program), ops,
                   {.device_kind = kind,
                    .choices = choices,
                    .memory_bytes = int64_t{1} << 30,
                    .batch_tokens = 300,
                    .sequences = 20});
}

const KernelChoice* find(const plan::Plan& plan, const std::string& op, int64_t rows,
                         int64_t tokens) {
  for (const KernelChoice& choice : plan.kernel_choices) {
    if (choice.op == op && choice.rows == rows && choice.tokens == tokens) return &choice;
  }
  return nullptr;
}

// llama-tiny: hidden 256, feed-forward 768, heads 4 and 2 of 64, vocabulary 1024.
TEST(KernelSelection, RecordsEveryLaunchAndWhereItsChoiceCameFrom) {
  const auto plan = plan_tiny(choosing_ops(), "q8_0");
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->device_kind, kKind);
  const KernelChoice* output = find(*plan, "prompt", 256, 128);
  ASSERT_NE(output, nullptr);
  EXPECT_EQ(output->value, 64);
  EXPECT_EQ(output->source, KernelChoice::Source::kTable);
  output = find(*plan, "prompt", 256, 64);
  ASSERT_NE(output, nullptr);
  EXPECT_EQ(output->value, 256) << "the row is another device's";
  EXPECT_EQ(output->source, KernelChoice::Source::kEstimate);
  EXPECT_NE(find(*plan, "prompt", 512, 64), nullptr) << "Q, K and V";
  EXPECT_NE(find(*plan, "prompt_gated", 2 * 768, 64), nullptr);
  EXPECT_NE(find(*plan, "decode_many_gated", 2 * 768, 16), nullptr);
  EXPECT_NE(find(*plan, "decode_many", 1024, 16), nullptr) << "the head";
  EXPECT_EQ(find(*plan, "prompt", 1024, 64), nullptr) << "of which prompts have decode rows";
  EXPECT_NE(find(*plan, "decode_step", 768, 1), nullptr);
  EXPECT_THAT(plan->reasons, testing::Contains(HasSubstr("choices: 1 of ")));
}

TEST(KernelSelection, HasTheBucketsOfThePlansLimits) {
  const auto plan = plan_tiny(choosing_ops(), "q8_0");
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  std::vector<int64_t> prompt, many;
  for (const KernelChoice& choice : plan->kernel_choices) {
    if (choice.op == "prompt_gated") prompt.push_back(choice.tokens);
    if (choice.op == "decode_many_gated") many.push_back(choice.tokens);
  }
  EXPECT_THAT(prompt, testing::ElementsAre(64, 128, 256, 512));
  EXPECT_THAT(many, testing::ElementsAre(16, 32));
}

TEST(KernelSelection, LaunchesAreApartWhereKernelsTakeThemApart) {
  const auto plan = plan_tiny(choosing_ops(), "f16");
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(find(*plan, "prompt_gated", 2 * 768, 64), nullptr);
  EXPECT_NE(find(*plan, "prompt", 768, 64), nullptr);
}

TEST(KernelSelection, AGivenTableReplacesTheShippedOne) {
  const std::vector<kernels::ChoiceRow> rows{
      {kKind, {{ChoiceOp::kDecodeMany, DType::kQ8_0, 512, 256, 32}, 6}, 1, 2},
      {kKind, {{ChoiceOp::kDecodeMany, DType::kQ8_0, 512, 256, 16}, 7}, 1, 2}};
  const auto plan = plan_tiny(choosing_ops(), "q8_0", kKind, &rows);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(find(*plan, "prompt", 256, 128)->value, 256);
  EXPECT_EQ(find(*plan, "decode_many", 512, 32)->value, 6);
  EXPECT_EQ(find(*plan, "decode_many", 512, 16)->value, 8) << "a way that there is not";
  EXPECT_EQ(find(*plan, "decode_many", 512, 16)->source, KernelChoice::Source::kEstimate);
}

TEST(KernelSelection, WithoutChoicesThereAreNone) {
  const auto other = plan_tiny(choosing_ops(), "q8_0", "sm_80/108");
  ASSERT_TRUE(other.has_value()) << other.error().message;
  EXPECT_THAT(other->kernel_choices, IsEmpty());
  const auto plain = plan_tiny(kernels::ref_ops(), "q8_0", "");
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  EXPECT_THAT(plain->kernel_choices, IsEmpty());
  EXPECT_THAT(plan::describe(*plain), Not(HasSubstr("choices")));
  const std::vector<kernels::ChoiceRow> none;
  const auto refused = plan_tiny(kernels::ref_ops(), "q8_0", "", &none);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "kernel choices: kernels ref have none");
}

TEST(KernelSelection, DescribePrintsALineForEachLaunch) {
  const auto plan = plan_tiny(choosing_ops(), "q8_0");
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  const std::string text = plan::describe_choices(*plan);
  EXPECT_THAT(text, HasSubstr("choices on sm_90/132"));
  EXPECT_THAT(text, HasSubstr("256x256        tile tokens  64: 256 128: 64* 256: 256 512: 256\n"));
  EXPECT_THAT(text, HasSubstr("one kernel  1: yes\n"));
  EXPECT_THAT(plan::describe(*plan), HasSubstr(text));
  const std::string json = plan::describe_json(*plan);
  EXPECT_THAT(json, HasSubstr("\"from\": \"table\""));
  EXPECT_THAT(json, HasSubstr("\"device_kind\": \"sm_90/132\""));
}

TEST(KernelSelection, DescribePrintsBlocksAndPanelsOf16BitProducts) {
  plan::Plan plan;
  plan.device_kind = "sm_90/132";
  KernelChoice choice{.op = "decode_many", .rows = 4096, .cols = 4096, .tokens = 64, .value = 408};
  choice.dtype = base::DType::kBF16;
  plan.kernel_choices.push_back(choice);
  choice.dtype = base::DType::kQ8_0;
  choice.value = 5;
  plan.kernel_choices.push_back(choice);
  const std::string text = plan::describe_choices(plan);
  EXPECT_THAT(text, HasSubstr("4096x4096      blocks x tile panels  64: 4x8\n"));
  EXPECT_THAT(text, HasSubstr("4096x4096      tile panels  64: 5\n"));
}

}  // namespace
}  // namespace neuros::builder
