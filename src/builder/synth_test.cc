#include "builder/synth.h"

#include "builder/random_blocks.h"
#include "builder/type_mix.h"
#include "formats/checkpoint.h"
#include "kernels/quantise.h"
#include "models/registry.h"

#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using base::DType;
using testing::HasSubstr;

TEST(RandomBlocks, HaveMeanZeroAndTheWantedDeviation) {
  for (int i = 0; i < base::kWeightDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    constexpr int64_t kElements = 256 * 200;
    std::vector<std::byte> blocks(static_cast<size_t>(base::bytes_of(dtype, kElements)));
    RandomWords random(7);
    fill_random_blocks(dtype, 0.05f, random, blocks);
    std::vector<float> values(kElements);
    kernels::dequantise(dtype, blocks.data(), values);
    double sum = 0.0, squares = 0.0;
    for (float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    const double deviation = std::sqrt(squares / kElements);
    EXPECT_NEAR(deviation, 0.05, 0.015) << base::name(dtype);
    EXPECT_LT(std::abs(sum / kElements), 0.25 * 0.05 + 0.01) << base::name(dtype);
  }
}

TEST(TypeMix, FollowsTheFieldsPractice) {
  const TypeMix mix = *find_type_mix("Q4_K_M");
  EXPECT_EQ(dtype_in_mix(mix, "blk.0.attn_norm.weight", {2048}, 16, true), DType::kF32);
  EXPECT_EQ(dtype_in_mix(mix, "blk.3.attn_q.weight", {2048, 2048}, 16, true), DType::kQ4_K);
  EXPECT_EQ(dtype_in_mix(mix, "blk.0.ffn_down.weight", {2048, 8192}, 16, true), DType::kQ6_K);
  EXPECT_EQ(dtype_in_mix(mix, "blk.2.ffn_down.weight", {2048, 8192}, 16, true), DType::kQ4_K);
  EXPECT_EQ(dtype_in_mix(mix, "token_embd.weight", {1000, 2048}, 16, true), DType::kQ6_K);
  EXPECT_EQ(dtype_in_mix(mix, "token_embd.weight", {1000, 2048}, 16, false), DType::kQ4_K);
  EXPECT_EQ(dtype_in_mix(mix, "blk.3.attn_q.weight", {96, 96}, 16, true), DType::kQ5_0);
  EXPECT_EQ(dtype_in_mix(mix, "blk.3.attn_q.weight", {96, 90}, 16, true), DType::kF16);
}

TEST(Synth, UnknownSpecsListWhatThereIs) {
  EXPECT_FALSE(is_synth_spec("model.gguf"));
  EXPECT_TRUE(is_synth_spec("llama-1b:q4_k_m"));
  EXPECT_THAT(synthesise("llama-9b:q8_0", "/tmp/x", {}).error().message, HasSubstr("llama-8b"));
  EXPECT_THAT(synthesise("llama-1b:q9", "/tmp/x", {}).error().message, HasSubstr("q4_k_m"));
}

TEST(Synth, EveryTypeGivesAModelThatOpens) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "neuros_synth_test.gguf").string();
  for (const std::string& type : type_mix_names()) {
    const auto made = synthesise("llama-tiny:" + type, path, {});
    ASSERT_TRUE(made.has_value()) << type << ": " << made.error().message;
    const auto checkpoint = formats::open_checkpoint(path);
    ASSERT_TRUE(checkpoint.has_value()) << type << ": " << checkpoint.error().message;
    const auto program = models::make_program(*checkpoint);
    EXPECT_TRUE(program.has_value()) << type << ": " << program.error().message;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace neuros::builder
