/// A Hugging Face directory and the GGUF file made of it are the same model.

#include "builder/convert.h"
#include "formats/checkpoint.h"
#include "hf_directory.h"
#include "pipeline/forced_logits.h"
#include "pipeline/language_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using pipeline::LanguageModel;
using ::testing::HasSubstr;
using testing::HfDirectory;

using Rows = std::vector<std::vector<float>>;

std::unique_ptr<LanguageModel> open(const std::string& path) {
  pipeline::ModelOptions options;
  options.threads = 1;
  options.memory_bytes = size_t{256} << 20;
  options.context = 128;
  options.kv_dtype = "f32";
  options.op_table = "ref";
  auto model = LanguageModel::open(path, std::move(options));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return model ? std::move(*model) : nullptr;
}

/// Logits after each of 60 tokens; the same whether they are a prompt or generated.
Rows logits_of(LanguageModel& model) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 60; ++i) ids.push_back(i * 37 % 250);
  const auto rows = pipeline::forced_logits(model.engine(), ids, 60);
  EXPECT_TRUE(rows.has_value());
  EXPECT_EQ(*rows, *pipeline::forced_logits(model.engine(), ids, 23));
  return *rows;
}

void expect_near(const Rows& wanted, const Rows& found) {
  ASSERT_EQ(wanted.size(), 60U);
  ASSERT_EQ(found.size(), 60U);
  for (size_t row = 0; row < wanted.size(); ++row) {
    double worst = 0.0, size = 0.0;
    for (size_t i = 0; i < wanted[row].size(); ++i) {
      const double value = wanted[row][i];
      worst = std::max(worst, std::abs(value - static_cast<double>(found[row][i])));
      size = std::max(size, std::abs(value));
    }
    ASSERT_GT(size, 0.1) << "logits of token " << row << " say nothing";
    ASSERT_LT(worst, 2e-4 * size) << "logits of token " << row;
  }
}

void expect_same_tokenizer(const LanguageModel& a, const LanguageModel& b) {
  for (const char* text : {"the band in the land", "  two\n\n\nlines, 12345 marks!?",
                           "<|im_end|>  rest <|begin|> of it",
                           "e\xCC\x81t\xC3\xA9 \xF0\x9F\x98\x80", "[PAD300] [PAD319]"}) {
    EXPECT_EQ(a.tokenizer().encode(text), b.tokenizer().encode(text)) << text;
  }
  for (int32_t id = 0; id < 320; ++id) {
    EXPECT_EQ(a.tokenizer().ends_generation(id), b.tokenizer().ends_generation(id)) << id;
  }
  EXPECT_TRUE(b.tokenizer().ends_generation(99));
  EXPECT_EQ(b.tokenizer().size(), 320) << "as many tokens as the embedding has rows";
  EXPECT_EQ(a.chat_template_source(), b.chat_template_source());
  EXPECT_EQ(a.default_sampling().temperature, b.default_sampling().temperature);
  EXPECT_EQ(a.default_sampling().top_k, b.default_sampling().top_k);
  EXPECT_EQ(a.default_sampling().repetition_penalty, b.default_sampling().repetition_penalty);
}

void expect_equivalent(const HfDirectory& directory) {
  auto original = open(directory.path());
  ASSERT_NE(original, nullptr);
  const Rows wanted = logits_of(*original);
  for (const char* type : {"f32", "f16", "bf16"}) {
    SCOPED_TRACE(type);
    const std::string path = directory.file(std::string(type) + ".gguf");
    const auto done = builder::convert(directory.path(), path, type, {});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    auto converted = open(path);
    ASSERT_NE(converted, nullptr);
    expect_near(wanted, logits_of(*converted));
    expect_same_tokenizer(*original, *converted);
  }
}

nlohmann::json llama3_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"max_position_embeddings", 512},
          {"rope_theta", 10000.0},
          {"attention_bias", true},
          {"rope_scaling",
           {{"rope_type", "llama3"},
            {"factor", 8.0},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", 64}}}};
}

TEST(ConvertEquivalence, LlamaWithLlama3Scaling) {
  expect_equivalent(HfDirectory("neuros_llama3", llama3_config()));
}

TEST(ConvertEquivalence, MistralWithAWindowAndATiedHead) {
  expect_equivalent(HfDirectory("neuros_mistral", {{"architectures", {"MistralForCausalLM"}},
                                                   {"model_type", "mistral"},
                                                   {"max_position_embeddings", 256},
                                                   {"sliding_window", 24},
                                                   {"tie_word_embeddings", true}}));
}

TEST(ConvertEquivalence, Qwen2) {
  expect_equivalent(HfDirectory("neuros_qwen2", {{"architectures", {"Qwen2ForCausalLM"}},
                                                 {"model_type", "qwen2"},
                                                 {"max_position_embeddings", 256}}));
}

TEST(ConvertEquivalence, Qwen3) {
  expect_equivalent(HfDirectory("neuros_qwen3", {{"architectures", {"Qwen3ForCausalLM"}},
                                                 {"model_type", "qwen3"},
                                                 {"max_position_embeddings", 256},
                                                 {"rope_theta", 1000000.0}}));
}

/// What other programs look for in a Llama 3 file.
TEST(ConvertEquivalence, Llama3FilesFollowGgufsConventions) {
  const HfDirectory directory("neuros_llama3_keys", llama3_config());
  ASSERT_TRUE(builder::convert(directory.path(), directory.file("out.gguf"), "f32", {}));
  const auto hf = formats::open_checkpoint(directory.path());
  const auto gguf = formats::open_checkpoint(directory.file("out.gguf"));
  ASSERT_TRUE(hf.has_value() && gguf.has_value());
  for (const auto& [key, value] : gguf->metadata.all()) {
    EXPECT_FALSE(key.starts_with("llama.rope.scaling.")) << key;
  }
  const base::TensorView* divisors = gguf->find_tensor("rope_freqs.weight");
  ASSERT_NE(divisors, nullptr);
  EXPECT_EQ(divisors->dtype, base::DType::kF32);
  ASSERT_EQ(divisors->shape, base::Shape{8});
  std::vector<float> values(8);
  std::memcpy(values.data(), divisors->bytes.data(), divisors->bytes.size());
  EXPECT_EQ(values.front(), 1.0f);
  EXPECT_EQ(values.back(), 8.0f);
  EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
  EXPECT_EQ(gguf->metadata.integer_or_none("general.file_type"), 0);
  EXPECT_EQ(gguf->metadata.texts("tokenizer.ggml.tokens")->at(300), "[PAD300]");
}

/// Row 2i of a head is HF's row i, row 2i+1 HF's row i + 8; biases likewise.
TEST(ConvertEquivalence, RowsOfQAreInterleavedForLlamaOnly) {
  const HfDirectory llama("neuros_llama_rows", llama3_config());
  ASSERT_TRUE(builder::convert(llama.path(), llama.file("out.gguf"), "bf16", {}));
  const auto hf = formats::open_checkpoint(llama.path());
  const auto gguf = formats::open_checkpoint(llama.file("out.gguf"));
  const auto theirs = hf->find_tensor("blk.1.attn_k.weight")->bytes;
  const auto ours = gguf->find_tensor("blk.1.attn_k.weight")->bytes;
  constexpr size_t kRowBytes = 32 * 2;
  for (size_t row = 0; row < 32; ++row) {
    const size_t from = row / 16 * 16 + row % 16 / 2 + row % 2 * 8;
    EXPECT_EQ(std::memcmp(&ours[row * kRowBytes], &theirs[from * kRowBytes], kRowBytes), 0) << row;
  }
  EXPECT_EQ(gguf->find_tensor("blk.1.attn_q.bias")->dtype, base::DType::kF32);
}

TEST(ConvertEquivalence, UnknownArchitecturesAreUnsupported) {
  const HfDirectory directory("neuros_gemma", {{"architectures", {"LlamaForCausalLM"}},
                                               {"model_type", "llama"},
                                               {"max_position_embeddings", 256}});
  directory.write("config.json",
                  R"({"architectures": ["GemmaForCausalLM"], "model_type": "gemma"})");
  const auto done = builder::convert(directory.path(), directory.file("out.gguf"), "f16", {});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, base::ErrorKind::kUnsupported);
  EXPECT_THAT(done.error().message, HasSubstr("gemma"));
}

}  // namespace
}  // namespace neuros
