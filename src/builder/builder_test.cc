#include "builder/builder.h"

#include "builder/activation_layout.h"
#include "builder/weight_layout.h"
#include "kernels/op_table.h"
#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;

/// A Llama of two layers with zero weights, which live as long as the object.
struct TinyLlama {
  TinyLlama() {
    checkpoint.path = "tiny.gguf";
    auto& m = checkpoint.metadata;
    m.set("general.architecture", std::string("llama"));
    m.set("llama.embedding_length", int64_t{32});
    m.set("llama.feed_forward_length", int64_t{64});
    m.set("llama.block_count", int64_t{2});
    m.set("llama.attention.head_count", int64_t{4});
    m.set("llama.context_length", int64_t{4096});
    add("token_embd.weight", {100, 32});
    add("output_norm.weight", {32});
    for (const char* layer : {"blk.0.", "blk.1."}) {
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
        add(std::string(layer) + name + ".weight", {32, 32});
      }
      add(std::string(layer) + "attn_norm.weight", {32});
      add(std::string(layer) + "ffn_norm.weight", {32});
      add(std::string(layer) + "ffn_gate.weight", {64, 32});
      add(std::string(layer) + "ffn_up.weight", {64, 32});
      add(std::string(layer) + "ffn_down.weight", {32, 64});
    }
  }
  void add(const std::string& name, base::Shape shape, base::DType dtype = base::DType::kF32) {
    const int64_t bytes = base::bytes_of(dtype, base::element_count(shape));
    checkpoint.tensors[name] = {dtype, std::move(shape),
                                std::span(zeros).first(static_cast<size_t>(bytes))};
  }
  base::Result<plan::Plan> plan(const PlanRequest& request) {
    return make_plan(checkpoint, *models::make_program(checkpoint), kernels::ref_ops(), request);
  }
  std::vector<std::byte> zeros = std::vector<std::byte>(size_t{1} << 16);
  formats::Checkpoint checkpoint;
};

TEST(Builder, PlacesEveryWeightOnceWithoutOverlap) {
  TinyLlama tiny;
  const auto plan = tiny.plan({.memory_bytes = 64 * kMiB});
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->weights.size(), tiny.checkpoint.tensors.size());
  int64_t end = 0;
  for (const auto& weight : plan->weights) {
    EXPECT_GE(weight.offset, end) << weight.name;
    EXPECT_LT(weight.offset, end + plan::kSegmentAlignment) << weight.name;
    EXPECT_EQ(weight.offset % 64, 0);
    end = weight.offset + weight.bytes;
  }
  EXPECT_EQ(plan->segments.size(), 4u);
  EXPECT_EQ(plan->weights.back().bytes, 128);  // the head is tied: only its norm is there
  end = 0;
  for (const auto& segment : plan->segments) {
    EXPECT_EQ(segment.offset, end) << segment.name;
    EXPECT_EQ(segment.bytes % plan::kSegmentAlignment, 0) << segment.name;
    end += segment.bytes;
  }
  EXPECT_EQ(end, plan->memory.weights);
}

TEST(Builder, BeginsSegmentsOfAPagedModelWithFrames) {
  TinyLlama tiny;
  constexpr int64_t kFrame = 64 << 10;
  const auto plain = tiny.plan({.memory_bytes = 64 * kMiB});
  const auto paged = tiny.plan({.memory_bytes = 64 * kMiB, .segment_alignment = kFrame});
  ASSERT_TRUE(plain.has_value() && paged.has_value());
  for (size_t i = 0; i < plain->segments.size(); ++i) {
    EXPECT_EQ(paged->segments[i].offset % kFrame, 0);
    EXPECT_EQ(paged->segments[i].bytes, plain->segments[i].bytes) << "the same without padding";
  }
  for (size_t i = 0; i < plain->weights.size(); ++i) {
    const auto segment = static_cast<size_t>(plain->weights[i].segment);
    EXPECT_EQ(paged->weights[i].offset - paged->segments[segment].offset,
              plain->weights[i].offset - plain->segments[segment].offset);
  }
  EXPECT_EQ(paged->memory.weights % kFrame, 0);
  EXPECT_GE(paged->memory.weights, paged->segments.back().offset + paged->segments.back().bytes);
  EXPECT_FALSE(tiny.plan({.memory_bytes = 64 * kMiB, .segment_alignment = 3 * kFrame}).has_value());
}

TEST(Builder, ValuesThatLiveTogetherDoNotOverlap) {
  TinyLlama tiny;
  const auto plan = tiny.plan({.memory_bytes = 64 * kMiB});
  ASSERT_TRUE(plan.has_value());
  int64_t sum = 0;
  for (size_t i = 0; i < plan->values.size(); ++i) {
    const auto& a = plan->values[i];
    sum += a.bytes;
    EXPECT_LE(a.offset + a.bytes, plan->memory.activations);
    for (size_t j = 0; j < i; ++j) {
      const auto& b = plan->values[j];
      const bool time = a.first_op <= b.last_op && b.first_op <= a.last_op;
      const bool space = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
      EXPECT_FALSE(time && space) << a.name << " and " << b.name;
    }
  }
  EXPECT_LT(plan->memory.activations, sum);  // query and feed_forward never live together
}

TEST(Builder, GrantsTheDefaultContexts) {
  TinyLlama tiny;
  const auto plan = tiny.plan({.memory_bytes = 1024 * kMiB});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->limits.context, 4096);
  EXPECT_EQ(plan->kv.pages, 4 * 4096 / 32);
  EXPECT_EQ(plan->kv.page_bytes, 2 * 2 * 4 * 32 * 8 * 2);
}

TEST(Builder, ShortensTheContextToFitAndSaysSo) {
  TinyLlama tiny;
  const auto roomy = tiny.plan({.memory_bytes = 1024 * kMiB});
  const int64_t fixed = roomy->memory.arena_bytes() - roomy->memory.kv;
  const auto plan = tiny.plan({.memory_bytes = fixed + 40 * roomy->kv.page_bytes});
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_LE(plan->limits.context, 2048);
  EXPECT_LE(plan->memory.arena_bytes(), fixed + 40 * roomy->kv.page_bytes);
  EXPECT_THAT(plan->reasons.front(), HasSubstr("4096 -> 2048"));
}

TEST(Builder, KvPagesOnTheHostComeOutOfACpusBudget) {
  TinyLlama tiny;
  const auto plan =
      tiny.plan({.memory_bytes = 4 * kMiB, .kv_host = {.bytes = kMiB, .free_bytes = 0}});
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->memory.kv_host, kMiB / plan->kv.page_bytes * plan->kv.page_bytes);
  EXPECT_LE(plan->memory.arena_bytes() + plan->memory.kv_host, 4 * kMiB);
  EXPECT_GE(plan->memory.steady_bytes(), plan->memory.arena_bytes() + plan->memory.kv_host);
  EXPECT_THAT(plan::describe(*plan), HasSubstr("kv on host"));
}

TEST(Builder, KeepsAnAskedForContextOrFails) {
  TinyLlama tiny;
  const auto plan = tiny.plan({.memory_bytes = kMiB, .context = 4096});
  ASSERT_FALSE(plan.has_value());
  EXPECT_EQ(plan.error().kind, base::ErrorKind::kOutOfMemory);
  EXPECT_THAT(plan.error().message, HasSubstr("budget 1.0 MiB"));
}

TEST(Builder, RefusesWhatItCannotPlan) {
  TinyLlama tiny;
  EXPECT_THAT(tiny.plan({.memory_bytes = kMiB, .context = 5000}).error().message,
              HasSubstr("1 to 4096"));
  EXPECT_THAT(tiny.plan({.memory_bytes = kMiB, .kv_dtype = base::DType::kQ8_0}).error().message,
              HasSubstr("q8_0"));
  tiny.add("output_norm.weight", {32}, base::DType::kQ8_0);
  EXPECT_THAT(tiny.plan({.memory_bytes = 64 * kMiB}).error().message, HasSubstr("output_norm"));
}

TEST(Builder, CountsOnWhatThePlanUsesOfTheMachine) {
  TinyLlama tiny;
  plan::MachineFacts machine{.cpu_level = "vnni", .cores = 64, .host_bytes = 1024 * kMiB};
  machine.gpu.emplace();
  const auto plan = tiny.plan({.workers = 8, .memory_bytes = 64 * kMiB, .machine = machine});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->machine.cpu_level, "vnni");
  EXPECT_EQ(plan->machine.cores, 8);
  EXPECT_EQ(plan->machine.host_bytes, plan->memory.peak_bytes());
  EXPECT_FALSE(plan->machine.gpu.has_value());  // the plan is for the host
  const auto unknown = tiny.plan({.workers = 8, .memory_bytes = 64 * kMiB});
  EXPECT_EQ(unknown->machine.cores, 0);
  EXPECT_EQ(unknown->machine.host_bytes, 0);
}

TEST(Builder, SameInputsGiveTheSamePlan) {
  TinyLlama tiny;
  const PlanRequest request{.memory_bytes = 64 * kMiB};
  EXPECT_EQ(plan::describe_json(*tiny.plan(request)), plan::describe_json(*tiny.plan(request)));
}

}  // namespace
}  // namespace neuros::builder
