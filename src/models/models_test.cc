#include "models/registry.h"
#include "models/rope_scaling.h"

#include <cmath>
#include <cstring>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::models {
namespace {

using formats::Checkpoint;
using testing::HasSubstr;

/// A checkpoint of one layer whose tensors share one block of zero bytes.
class TinyCheckpoint {
 public:
  explicit TinyCheckpoint(const std::string& architecture) : architecture_(architecture) {
    checkpoint.path = "tiny.gguf";
    checkpoint.metadata.set("general.architecture", architecture);
    set("embedding_length", 32);
    set("feed_forward_length", 64);
    set("block_count", 1);
    set("attention.head_count", 4);
    set("attention.head_count_kv", 2);
    set("context_length", 128);
    add("token_embd.weight", {100, 32});
    add("output_norm.weight", {32});
    add("blk.0.attn_norm.weight", {32});
    add("blk.0.attn_q.weight", {32, 32});
    add("blk.0.attn_k.weight", {16, 32});
    add("blk.0.attn_v.weight", {16, 32});
    add("blk.0.attn_output.weight", {32, 32});
    add("blk.0.ffn_norm.weight", {32});
    add("blk.0.ffn_gate.weight", {64, 32});
    add("blk.0.ffn_up.weight", {64, 32});
    add("blk.0.ffn_down.weight", {32, 64});
  }
  void set(const std::string& key, int64_t value) {
    checkpoint.metadata.set(architecture_ + "." + key, value);
  }
  void add(const std::string& name, base::Shape shape) {
    const int64_t bytes = base::bytes_of(base::DType::kF32, base::element_count(shape));
    if (static_cast<size_t>(bytes) > bytes_.size()) bytes_.resize(static_cast<size_t>(bytes));
    checkpoint.tensors[name] = {base::DType::kF32, std::move(shape), {}};
  }
  Checkpoint checkpoint;

 private:
  std::string architecture_;
  std::vector<std::byte> bytes_;
};

const plan::QkvRopeOp& first_qkv(const plan::Program& program) {
  return std::get<plan::QkvRopeOp>(program.segments.at(1).ops.at(0));
}

TEST(Registry, UnknownArchitectureListsTheKnownOnes) {
  TinyCheckpoint tiny("mamba9");
  const auto program = make_program(tiny.checkpoint);
  ASSERT_FALSE(program.has_value());
  EXPECT_THAT(program.error().message, HasSubstr("mamba9"));
  EXPECT_THAT(program.error().message, HasSubstr("llama, qwen2, qwen3"));
}

TEST(Llama, TiedHeadUsesTheTable) {
  TinyCheckpoint tiny("llama");
  const auto program = make_program(tiny.checkpoint);
  ASSERT_TRUE(program.has_value()) << program.error().message;
  EXPECT_EQ(program->segments.size(), 3u);
  EXPECT_EQ(std::get<plan::LogitsOp>(program->segments.back().ops.front()).head.name,
            "token_embd.weight");
  EXPECT_EQ(first_qkv(*program).rope_style, plan::RopeStyle::kInterleaved);
  EXPECT_FALSE(first_qkv(*program).bq.exists());
}

TEST(Llama, HuggingFaceRotatesHalves) {
  TinyCheckpoint tiny("llama");
  tiny.checkpoint.source = formats::Source::kHuggingFace;
  EXPECT_EQ(first_qkv(*make_program(tiny.checkpoint)).rope_style, plan::RopeStyle::kHalves);
}

TEST(Llama, HeadDimensionNeedNotDivideHidden) {
  TinyCheckpoint tiny("llama");
  tiny.set("attention.key_length", 16);
  tiny.set("attention.value_length", 16);
  tiny.add("blk.0.attn_q.weight", {64, 32});
  tiny.add("blk.0.attn_k.weight", {32, 32});
  tiny.add("blk.0.attn_v.weight", {32, 32});
  tiny.add("blk.0.attn_output.weight", {32, 64});
  const auto program = make_program(tiny.checkpoint);
  ASSERT_TRUE(program.has_value()) << program.error().message;
  EXPECT_EQ(program->head_dim, 16);
}

TEST(Llama, MisshapenTensorIsNamed) {
  TinyCheckpoint tiny("llama");
  tiny.add("blk.0.ffn_down.weight", {64, 32});
  const auto program = make_program(tiny.checkpoint);
  ASSERT_FALSE(program.has_value());
  EXPECT_EQ(program.error().message,
            "tiny.gguf: tensor blk.0.ffn_down.weight: shape [64, 32], expected [32, 64]");
}

TEST(Llama, AbsurdMetadataIsRefused) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, int64_t>>{{"block_count", 0},
                                                    {"attention.head_count_kv", 3},
                                                    {"embedding_length", -1},
                                                    {"rope.dimension_count", 7},
                                                    {"attention.value_length", 4}}) {
    TinyCheckpoint tiny("llama");
    tiny.set(key, value);
    EXPECT_FALSE(make_program(tiny.checkpoint).has_value()) << key;
  }
}

TEST(Qwen2, NeedsBiases) {
  TinyCheckpoint tiny("qwen2");
  EXPECT_THAT(make_program(tiny.checkpoint).error().message, HasSubstr("blk.0.attn_q.bias"));
  tiny.add("blk.0.attn_q.bias", {32});
  tiny.add("blk.0.attn_k.bias", {16});
  tiny.add("blk.0.attn_v.bias", {16});
  EXPECT_TRUE(first_qkv(*make_program(tiny.checkpoint)).bq.exists());
}

TEST(Qwen3, NeedsHeadNorms) {
  TinyCheckpoint tiny("qwen3");
  EXPECT_FALSE(make_program(tiny.checkpoint).has_value());
  tiny.add("blk.0.attn_q_norm.weight", {8});
  tiny.add("blk.0.attn_k_norm.weight", {8});
  EXPECT_TRUE(first_qkv(*make_program(tiny.checkpoint)).k_norm.exists());
}

TEST(Rope, LinearDividesEveryFrequency) {
  TinyCheckpoint tiny("llama");
  tiny.checkpoint.metadata.set("llama.rope.scaling.type", std::string("linear"));
  tiny.checkpoint.metadata.set("llama.rope.scaling.factor", 4.0);
  const auto rope = read_rope(tiny.checkpoint, "llama", 8);
  EXPECT_FLOAT_EQ(rope->inverse[0], 0.25f);
  EXPECT_FLOAT_EQ(rope->inverse[2], 0.25f * 0.01f);
  EXPECT_EQ(rope->magnitude, 1.0f);
}

TEST(Rope, Llama3KeepsShortWavesAndStretchesLongOnes) {
  TinyCheckpoint tiny("llama");
  auto& metadata = tiny.checkpoint.metadata;
  metadata.set("llama.rope.scaling.type", std::string("llama3"));
  metadata.set("llama.rope.freq_base", 500000.0);
  metadata.set("llama.rope.scaling.factor", 8.0);
  metadata.set("llama.rope.scaling.high_freq_factor", 4.0);
  metadata.set("llama.rope.scaling.original_context_length", int64_t{8192});
  const auto rope = read_rope(tiny.checkpoint, "llama", 128);
  EXPECT_FLOAT_EQ(rope->inverse.front(), 1.0f);
  const double last = std::pow(500000.0, -126.0 / 128.0);
  EXPECT_FLOAT_EQ(rope->inverse.back(), static_cast<float>(last / 8.0));
}

TEST(Rope, YarnKeepsFastPairsDividesSlowOnesAndScalesMagnitude) {
  TinyCheckpoint tiny("qwen3");
  auto& metadata = tiny.checkpoint.metadata;
  metadata.set("qwen3.rope.scaling.type", std::string("yarn"));
  metadata.set("qwen3.rope.freq_base", 1000000.0);
  metadata.set("qwen3.rope.scaling.factor", 4.0);
  metadata.set("qwen3.rope.scaling.original_context_length", int64_t{32768});
  const auto rope = read_rope(tiny.checkpoint, "qwen3", 128);
  EXPECT_FLOAT_EQ(rope->inverse[0], 1.0f);
  EXPECT_FLOAT_EQ(rope->inverse[63], static_cast<float>(std::pow(1e6, -126.0 / 128.0) / 4.0));
  EXPECT_NEAR(rope->magnitude, 1.0 + 0.1 * std::log(4.0), 1e-6);
}

TEST(Rope, UnknownScalingIsRefusedByName) {
  TinyCheckpoint tiny("llama");
  tiny.checkpoint.metadata.set("llama.rope.scaling.type", std::string("longrope"));
  EXPECT_THAT(read_rope(tiny.checkpoint, "llama", 8).error().message, HasSubstr("longrope"));
}

}  // namespace
}  // namespace neuros::models
