#include "formats/huggingface.h"

#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using test::error_of;
using test::RawFile;
using ::testing::HasSubstr;

constexpr const char* kConfig = R"({"architectures":["Qwen3ForCausalLM"],"hidden_size":4,
  "num_hidden_layers":1,"intermediate_size":8,"num_attention_heads":2,"vocab_size":3,
  "tie_word_embeddings":true,"head_dim":2,"eos_token_id":1})";

/// A file of BF16 vectors of two elements, so named.
std::string weights(const std::vector<std::string>& names) {
  std::string header;
  for (size_t i = 0; i < names.size(); ++i) {
    header += (i == 0 ? "{\"" : ",\"") + names[i] +
              R"(":{"dtype":"BF16","shape":[2],"data_offsets":[)" + std::to_string(4 * i) + "," +
              std::to_string(4 * i + 4) + "]}";
  }
  return RawFile().text(header + "}").raw(test::pattern(4 * names.size(), 0)).bytes();
}

class HuggingFace : public ::testing::Test {
 protected:
  HuggingFace() { directory_.write("config.json", kConfig); }
  std::string open_error() const { return error_of(open_checkpoint(directory_.path())); }

  test::TemporaryDirectory directory_;
};

TEST_F(HuggingFace, OpensASingleFile) {
  directory_.write("model.safetensors",
                   weights({"model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight",
                            "lm_head.weight", "model.rotary_emb.inv_freq"}));
  directory_.write("tokenizer.json", "{}");
  directory_.write("generation_config.json", R"({"eos_token_id":[7,8]})");
  for (const std::string& path :
       {directory_.path(), directory_.file("model.safetensors"), directory_.file("config.json")}) {
    const auto checkpoint = open_checkpoint(path);
    ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
    EXPECT_EQ(checkpoint->source, Source::kHuggingFace);
    EXPECT_EQ(checkpoint->tensors.size(), 2u);  // tied: no output.weight
    EXPECT_TRUE(checkpoint->tensor("blk.0.attn_q_norm.weight").has_value());
    EXPECT_EQ(checkpoint->side_files.at("tokenizer.json"), "{}");
    EXPECT_EQ(checkpoint->side_files.size(), 3u);
    EXPECT_EQ(*checkpoint->metadata.integer("tokenizer.ggml.eos_token_id"), 7);
    EXPECT_EQ(*checkpoint->metadata.text("general.name"),
              std::filesystem::path(directory_.path()).filename());
    EXPECT_GT(test::touch(checkpoint->tensors), 0u);
  }
}

TEST_F(HuggingFace, OpensShards) {
  directory_.write("x-1.safetensors", weights({"model.embed_tokens.weight", "unlisted"}));
  directory_.write("x-2.safetensors", weights({"model.norm.weight"}));
  directory_.write("model.safetensors.index.json",
                   R"({"metadata":{"total_size":8},"weight_map":{
                     "model.embed_tokens.weight":"x-1.safetensors",
                     "model.norm.weight":"x-2.safetensors"}})");
  const auto checkpoint = open_checkpoint(directory_.file("model.safetensors.index.json"));
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  EXPECT_EQ(checkpoint->files.size(), 2u);
  EXPECT_EQ(checkpoint->tensors.size(), 2u);
  directory_.write("x-2.safetensors", weights({"other"}));
  EXPECT_THAT(open_error(), HasSubstr("tensor model.norm.weight is not in x-2.safetensors"));
  std::filesystem::remove(directory_.file("x-2.safetensors"));
  EXPECT_THAT(open_error(), HasSubstr("x-2.safetensors: No such file"));
}

TEST_F(HuggingFace, SaysWhichWeightsItLooksFor) {
  EXPECT_THAT(open_error(), HasSubstr("no .safetensors file"));
  directory_.write("pytorch_model.bin", "PK");
  EXPECT_THAT(open_error(), HasSubstr("PyTorch pickles"));
  directory_.write("one.safetensors", weights({"model.norm.weight"}));
  EXPECT_EQ(open_error(), "(no error)");
  directory_.write("two.safetensors", weights({"model.norm.weight"}));
  EXPECT_THAT(open_error(), HasSubstr("2 .safetensors files and no model.safetensors.index.json"));
}

TEST_F(HuggingFace, RefusesWeightsNobodyReads) {
  directory_.write("model.safetensors", weights({"model.layers.0.mlp.expert.weight"}));
  EXPECT_THAT(open_error(), HasSubstr("tensor model.layers.0.mlp.expert.weight is not part of "
                                      "architecture qwen3"));
  directory_.write("model.safetensors", weights({"model.norm.weight", "norm.weight"}));
  EXPECT_THAT(open_error(), HasSubstr("is there twice"));
}

TEST_F(HuggingFace, UnknownArchitecturesKeepTheirNames) {
  directory_.write("config.json", R"({"architectures":["FooForCausalLM"],"model_type":"foo"})");
  directory_.write("model.safetensors", weights({"foo.bar", "lm_head.weight"}));
  const auto checkpoint = open_checkpoint(directory_.path());
  ASSERT_TRUE(checkpoint.has_value()) << error_of(checkpoint);
  EXPECT_EQ(*checkpoint->metadata.text("general.architecture"), "foo");
  EXPECT_TRUE(checkpoint->tensor("foo.bar").has_value());
}

TEST_F(HuggingFace, ErrorsNameTheFile) {
  directory_.write("model.safetensors", "short");
  EXPECT_EQ(open_error(), directory_.file("model.safetensors") +
                              ": safetensors: header length: needs 8 bytes at offset 0, file ends "
                              "after 5");
  directory_.write("config.json", "{}");
  EXPECT_THAT(open_error(), HasSubstr(directory_.path() + ": config.json: neither"));
  directory_.write("config.json", kConfig);
  directory_.write("generation_config.json", "[]");
  EXPECT_THAT(open_error(), HasSubstr(directory_.path() + ": generation_config.json: JSON"));
}

}  // namespace
}  // namespace neuros::formats
