#include "formats/hf_config.h"

#include "formats/hf_names.h"
#include "formats/test_support.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::formats {
namespace {

using nlohmann::json;
using test::error_of;
using ::testing::HasSubstr;

json config_of(const std::string& class_name) {
  return {{"architectures", {class_name}}, {"hidden_size", 64},        {"num_hidden_layers", 2},
          {"intermediate_size", 128},      {"num_attention_heads", 4}, {"vocab_size", 512}};
}

json llama(const json& more = json::object()) {
  json config = config_of("LlamaForCausalLM");
  config.update(more);
  return config;
}

Metadata metadata_of(const json& config) {
  const auto parsed = parse_hf_config(config.dump());
  EXPECT_TRUE(parsed.has_value()) << error_of(parsed);
  return parsed ? parsed->metadata : Metadata();
}

std::string config_error(const json& config) {
  return error_of(parse_hf_config(config.dump()));
}

TEST(HfConfig, TranslatesLlama) {
  const Metadata metadata = metadata_of(llama({{"max_position_embeddings", 4096},
                                               {"num_key_value_heads", 2},
                                               {"rms_norm_eps", 1e-5},
                                               {"rope_theta", 500000.0},
                                               {"torch_dtype", "bfloat16"},
                                               {"bos_token_id", 1},
                                               {"eos_token_id", {2, 7}},
                                               {"sliding_window", 99}}));
  EXPECT_EQ(*metadata.text("general.architecture"), "llama");
  EXPECT_EQ(*metadata.integer("general.file_type"), 32);
  EXPECT_EQ(*metadata.integer("llama.vocab_size"), 512);
  EXPECT_EQ(*metadata.integer("llama.context_length"), 4096);
  EXPECT_EQ(*metadata.integer("llama.embedding_length"), 64);
  EXPECT_EQ(*metadata.integer("llama.block_count"), 2);
  EXPECT_EQ(*metadata.integer("llama.feed_forward_length"), 128);
  EXPECT_EQ(*metadata.integer("llama.attention.head_count"), 4);
  EXPECT_EQ(*metadata.integer("llama.attention.head_count_kv"), 2);
  EXPECT_EQ(*metadata.integer("llama.attention.key_length"), 16);
  EXPECT_EQ(*metadata.integer("llama.attention.value_length"), 16);
  EXPECT_EQ(*metadata.integer("llama.rope.dimension_count"), 16);
  EXPECT_EQ(*metadata.number("llama.rope.freq_base"), 500000.0);
  EXPECT_EQ(*metadata.number("llama.attention.layer_norm_rms_epsilon"), 1e-5);
  EXPECT_FALSE(metadata.contains("llama.rope.scaling.type"));
  EXPECT_FALSE(metadata.contains("llama.attention.sliding_window"));
  EXPECT_EQ(*metadata.integer("tokenizer.ggml.bos_token_id"), 1);
  EXPECT_EQ(*metadata.integer("tokenizer.ggml.eos_token_id"), 2);
  EXPECT_THAT(*metadata.integers("neuros.eos_token_ids"), ::testing::ElementsAre(2, 7));
}

TEST(HfConfig, FillsInTheDefaultsOfTheClass) {
  const Metadata llama_keys = metadata_of(config_of("LlamaForCausalLM"));
  EXPECT_EQ(*llama_keys.integer("llama.attention.head_count_kv"), 4);
  EXPECT_EQ(*llama_keys.integer("llama.context_length"), 2048);
  EXPECT_EQ(*llama_keys.number("llama.rope.freq_base"), 10000.0);
  const Metadata mistral = metadata_of(config_of("MistralForCausalLM"));
  EXPECT_EQ(*mistral.text("general.architecture"), "llama");
  EXPECT_EQ(*mistral.integer("llama.attention.head_count_kv"), 8);
  EXPECT_EQ(*mistral.integer("llama.attention.sliding_window"), 4096);
  const Metadata qwen3 = metadata_of(config_of("Qwen3ForCausalLM"));
  EXPECT_EQ(*qwen3.integer("qwen3.attention.key_length"), 128);
  const Metadata qwen2 = metadata_of(config_of("Qwen2ForCausalLM"));
  EXPECT_EQ(*qwen2.integer("qwen2.attention.key_length"), 16);
}

TEST(HfConfig, ModelTypeServesWhereArchitecturesAreMissing) {
  json config = config_of("");
  config.erase("architectures");
  config["model_type"] = "qwen2";
  EXPECT_EQ(*metadata_of(config).text("general.architecture"), "qwen2");
}

TEST(HfConfig, UnknownArchitecturesKeepTheirName) {
  const auto parsed = parse_hf_config(R"({"architectures":["FooForCausalLM"],"model_type":"foo"})");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_FALSE(parsed->architecture_known);
  EXPECT_EQ(*parsed->metadata.text("general.architecture"), "foo");
  EXPECT_EQ(*parse_hf_config(R"({"architectures":["Foo"]})")->metadata.text("general.architecture"),
            "Foo");
  EXPECT_THAT(error_of(parse_hf_config("{}")), HasSubstr("not a model's config"));
}

TEST(HfConfig, SlidingWindows) {
  json mistral = config_of("MistralForCausalLM");
  const char* key = "llama.attention.sliding_window";
  mistral["sliding_window"] = 128;
  EXPECT_EQ(metadata_of(mistral).integer_or_none(key), 128);
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(metadata_of(mistral).integer_or_none(key), std::nullopt);

  json qwen = config_of("Qwen2ForCausalLM");
  const auto window = [&] {
    return metadata_of(qwen).integer_or_none("qwen2.attention.sliding_window");
  };
  qwen["sliding_window"] = 128;
  EXPECT_EQ(window(), std::nullopt);
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(window(), 128);
  qwen["max_window_layers"] = 2;
  EXPECT_EQ(window(), std::nullopt);
  qwen["max_window_layers"] = 1;
  EXPECT_THAT(config_error(qwen), HasSubstr("sliding window from layer 1 on is not supported"));
  qwen["layer_types"] = {"sliding_attention", "sliding_attention"};
  EXPECT_EQ(window(), 128);
  qwen["layer_types"] = {"full_attention", "sliding_attention"};
  EXPECT_THAT(config_error(qwen), HasSubstr("layer_types of several kinds"));
}

TEST(HfConfig, HeadLengths) {
  EXPECT_EQ(metadata_of(llama({{"head_dim", 32}})).integer_or_none("llama.attention.key_length"),
            32);
  EXPECT_EQ(
      metadata_of(llama({{"head_dim", nullptr}})).integer_or_none("llama.attention.key_length"),
      16);
  EXPECT_EQ(metadata_of(llama({{"partial_rotary_factor", 0.5}}))
                .integer_or_none("llama.rope.dimension_count"),
            8);
  EXPECT_EQ(config_error(llama({{"num_attention_heads", 5}})),
            "config.json: hidden_size 64 is not a multiple of 5 heads, and head_dim is missing");
}

Metadata scaled(const json& scaling, int64_t context = 32768) {
  return metadata_of(llama({{"max_position_embeddings", context}, {"rope_scaling", scaling}}));
}

TEST(HfConfig, RopeScalingLinearAndLlama3) {
  const Metadata linear = scaled({{"type", "linear"}, {"factor", 4}});
  EXPECT_EQ(*linear.text("llama.rope.scaling.type"), "linear");
  EXPECT_EQ(*linear.number("llama.rope.scaling.factor"), 4.0);
  const Metadata llama3 = scaled({{"rope_type", "llama3"},
                                  {"factor", 8.0},
                                  {"low_freq_factor", 1.0},
                                  {"high_freq_factor", 4.0},
                                  {"original_max_position_embeddings", 8192}});
  EXPECT_EQ(*llama3.text("llama.rope.scaling.type"), "llama3");
  EXPECT_EQ(*llama3.number("llama.rope.scaling.factor"), 8.0);
  EXPECT_EQ(*llama3.number("llama.rope.scaling.low_freq_factor"), 1.0);
  EXPECT_EQ(*llama3.number("llama.rope.scaling.high_freq_factor"), 4.0);
  EXPECT_EQ(*llama3.integer("llama.rope.scaling.original_context_length"), 8192);
}

TEST(HfConfig, RopeScalingYarn) {
  const Metadata plain =
      scaled({{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 8192}});
  EXPECT_EQ(*plain.text("llama.rope.scaling.type"), "yarn");
  EXPECT_EQ(*plain.number("llama.rope.scaling.factor"), 4.0);
  EXPECT_FALSE(plain.contains("llama.rope.scaling.attn_factor"));
  EXPECT_FALSE(plain.contains("llama.rope.scaling.yarn_beta_fast"));

  const double own = 1.0 + 0.1 * std::log(4.0);
  const Metadata given = scaled({{"rope_type", "yarn"},
                                 {"original_max_position_embeddings", 8192},
                                 {"attention_factor", 1.0},
                                 {"beta_fast", 24},
                                 {"beta_slow", 2}});
  EXPECT_EQ(*given.number("llama.rope.scaling.factor"), 4.0);  // 32768 / 8192
  EXPECT_NEAR(*given.number("llama.rope.scaling.attn_factor"), 1.0 / own, 1e-12);
  EXPECT_EQ(*given.number("llama.rope.scaling.yarn_beta_fast"), 24.0);
  EXPECT_EQ(*given.number("llama.rope.scaling.yarn_beta_slow"), 2.0);

  const Metadata equal = scaled(
      {{"rope_type", "yarn"}, {"factor", 4.0}, {"mscale", 0.707}, {"mscale_all_dim", 0.707}});
  EXPECT_NEAR(*equal.number("llama.rope.scaling.attn_factor"), 1.0 / own, 1e-12);
  EXPECT_EQ(*equal.integer("llama.rope.scaling.original_context_length"), 32768);
}

TEST(HfConfig, RopeParametersOfTransformers5) {
  const Metadata metadata = metadata_of(
      llama({{"rope_parameters", {{"rope_type", "linear"}, {"factor", 2}, {"rope_theta", 1e6}}}}));
  EXPECT_EQ(*metadata.number("llama.rope.freq_base"), 1e6);
  EXPECT_EQ(*metadata.text("llama.rope.scaling.type"), "linear");
  const Metadata plain =
      metadata_of(llama({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}}));
  EXPECT_EQ(*plain.number("llama.rope.freq_base"), 5e5);
  EXPECT_FALSE(plain.contains("llama.rope.scaling.type"));
}

TEST(HfConfig, RefusesOtherRopeScaling) {
  const auto error = [](const json& scaling) {
    return config_error(llama({{"rope_scaling", scaling}}));
  };
  EXPECT_THAT(error({{"type", "dynamic"}, {"factor", 2.0}}), HasSubstr("type dynamic with factor"));
  EXPECT_FALSE(scaled({{"type", "dynamic"}, {"factor", 1.0}}).contains("llama.rope.scaling.type"));
  EXPECT_EQ(error({{"type", "longrope"}}),
            "config.json: rope scaling type longrope is not supported");
  EXPECT_EQ(error({{"type", "linear"}}), "config.json: factor is missing");
  EXPECT_THAT(error({{"type", "linear"}, {"factor", 0}}), HasSubstr("factor: 0.0"));
  EXPECT_THAT(error({{"type", "linear"}, {"factor", "x"}}),
              HasSubstr("a string, expected a number"));
  EXPECT_EQ(error({{"rope_type", "llama3"}, {"factor", 8}}),
            "config.json: low_freq_factor is missing");
  EXPECT_EQ(error({{"rope_type", "llama3"},
                   {"factor", 8},
                   {"low_freq_factor", 1},
                   {"high_freq_factor", 4}}),
            "config.json: original_max_position_embeddings is missing");
  EXPECT_EQ(error("x"), "config.json: rope_scaling: a string, expected an object");
}

TEST(HfConfig, ErrorsNameTheField) {
  json config = llama();
  config.erase("hidden_size");
  EXPECT_EQ(config_error(config), "config.json: hidden_size is missing");
  EXPECT_EQ(config_error(llama({{"hidden_size", "64"}})),
            "config.json: hidden_size: a string, expected an integer");
  EXPECT_EQ(config_error(llama({{"vocab_size", -1}})),
            "config.json: vocab_size: -1, expected 1 to 2^31-1");
  EXPECT_EQ(config_error(llama({{"vocab_size", 18446744073709551615u}})),
            "config.json: vocab_size: number 18446744073709551615, expected an integer");
  EXPECT_EQ(config_error(llama({{"eos_token_id", {1, "x"}}})),
            "config.json: eos_token_id: a string, expected a token id");
  EXPECT_EQ(config_error(llama({{"hidden_act", "gelu"}})),
            "config.json: hidden_act gelu is not supported");
  EXPECT_EQ(config_error(llama({{"quantization_config", {{"quant_method", "gptq"}}}})),
            "config.json: quantization_config gptq is not supported");
  EXPECT_THAT(error_of(parse_hf_config("{")), HasSubstr("config.json: JSON malformed"));
  EXPECT_THAT(error_of(parse_hf_config("3")), HasSubstr("expected an object"));
}

TEST(HfConfig, GenerationConfigOverridesTheEndOfText) {
  Metadata metadata = metadata_of(llama({{"eos_token_id", 2}}));
  ASSERT_TRUE(add_generation_config(metadata, R"({"eos_token_id":[5,6]})").has_value());
  EXPECT_THAT(*metadata.integers("neuros.eos_token_ids"), ::testing::ElementsAre(5, 6));
  EXPECT_EQ(*metadata.integer("tokenizer.ggml.eos_token_id"), 5);
  ASSERT_TRUE(add_generation_config(metadata, "{}").has_value());
  EXPECT_EQ(*metadata.integer("tokenizer.ggml.eos_token_id"), 5);
  EXPECT_THAT(error_of(add_generation_config(metadata, "x")), HasSubstr("generation_config.json"));
}

TEST(HfNames, TranslateBothWaysOfPrefixing) {
  const auto name = [](std::string_view hf) { return gguf_name_of_hf_tensor(hf).value_or("none"); };
  EXPECT_EQ(name("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(name("embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(name("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(name("lm_head.weight"), "output.weight");
  EXPECT_EQ(name("model.layers.0.self_attn.q_proj.weight"), "blk.0.attn_q.weight");
  EXPECT_EQ(name("model.layers.31.self_attn.k_proj.bias"), "blk.31.attn_k.bias");
  EXPECT_EQ(name("model.layers.3.self_attn.o_proj.weight"), "blk.3.attn_output.weight");
  EXPECT_EQ(name("model.layers.3.self_attn.q_norm.weight"), "blk.3.attn_q_norm.weight");
  EXPECT_EQ(name("layers.3.mlp.down_proj.weight"), "blk.3.ffn_down.weight");
  EXPECT_EQ(name("model.layers.3.input_layernorm.weight"), "blk.3.attn_norm.weight");
  EXPECT_EQ(name("model.layers.3.post_attention_layernorm.weight"), "blk.3.ffn_norm.weight");
}

TEST(HfNames, EverythingElseIsNone) {
  for (const char* hf :
       {"", "model.", "model.layers.", "model.layers.3", "model.layers.3.",
        "model.layers..x.weight", "model.layers.3.weight", "model.layers.x.mlp.up_proj.weight",
        "model.layers.3.mlp.weight", "model.layers.3.mlp.up_proj.scale",
        "model.layers.12345678901.mlp.up_proj.weight", "score.weight", "model.embed_tokens.bias"})
    EXPECT_EQ(gguf_name_of_hf_tensor(hf), std::nullopt) << hf;
  EXPECT_TRUE(is_hf_buffer("model.layers.0.self_attn.rotary_emb.inv_freq"));
  EXPECT_FALSE(is_hf_buffer("model.norm.weight"));
}

}  // namespace
}  // namespace neuros::formats
