#pragma once

/// Small Hugging Face model directories with random weights, written by the test.

#include "text/byte_alphabet.h"

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace neuros::testing {

/// A folder of its own, removed with everything in it.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / (name + "_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path() const { return path_.string(); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_;
};

/// A decoder of two layers: hidden 32, 4 heads of 16 (2 for K and V), vocabulary of 320 rows.
/// Weights are multiples of 1/256 with 7 bits, so that f16 and bf16 hold them exactly.
class HfDirectory : public TemporaryFolder {
 public:
  HfDirectory(const std::string& name, nlohmann::json config) : TemporaryFolder(name) {
    config.update({{"hidden_size", 32},
                   {"intermediate_size", 48},
                   {"num_hidden_layers", 2},
                   {"num_attention_heads", 4},
                   {"num_key_value_heads", 2},
                   {"head_dim", 16},
                   {"vocab_size", 320},
                   {"rms_norm_eps", 1e-5},
                   {"hidden_act", "silu"},
                   {"bos_token_id", 256},
                   {"eos_token_id", 257}});
    write("config.json", config.dump());
    write_tokenizer();
    add("model.embed_tokens.weight", {320, 32});
    add("model.norm.weight", {32});
    if (!config.value("tie_word_embeddings", false)) add("lm_head.weight", {320, 32});
    for (int layer = 0; layer < 2; ++layer) add_layer(layer, config);
    write_weights();
  }

 private:
  using Shape = std::vector<int64_t>;

  void add_layer(int layer, const nlohmann::json& config) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const std::string type = config.at("model_type");
    add(prefix + "input_layernorm.weight", {32});
    add(prefix + "post_attention_layernorm.weight", {32});
    add(prefix + "self_attn.q_proj.weight", {64, 32});
    add(prefix + "self_attn.k_proj.weight", {32, 32});
    add(prefix + "self_attn.v_proj.weight", {32, 32});
    add(prefix + "self_attn.o_proj.weight", {32, 64});
    if (type == "qwen2" || config.value("attention_bias", false)) {
      add(prefix + "self_attn.q_proj.bias", {64});
      add(prefix + "self_attn.k_proj.bias", {32});
      add(prefix + "self_attn.v_proj.bias", {32});
    }
    if (type == "qwen3") {
      add(prefix + "self_attn.q_norm.weight", {16});
      add(prefix + "self_attn.k_norm.weight", {16});
    }
    add(prefix + "mlp.gate_proj.weight", {48, 32});
    add(prefix + "mlp.up_proj.weight", {48, 32});
    add(prefix + "mlp.down_proj.weight", {32, 48});
  }

  /// As bf16: the upper half of the float's bits.
  void add(const std::string& name, Shape shape) {
    std::uniform_int_distribution<int> draw(-100, 100);
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    const bool norm = name.ends_with("norm.weight");
    const size_t begin = data_.size();
    for (int64_t i = 0; i < count; ++i) {
      const float value = norm ? 0.5f + static_cast<float>(draw(random_) + 100) / 256.0f
                               : static_cast<float>(draw(random_)) / 256.0f;
      const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
      data_.append(reinterpret_cast<const char*>(&bits), sizeof bits);
    }
    header_[name] = {
        {"dtype", "BF16"}, {"shape", std::move(shape)}, {"data_offsets", {begin, data_.size()}}};
  }

  void write_weights() const {
    const std::string header = header_.dump();
    const uint64_t bytes = header.size();
    write("model.safetensors",
          std::string(reinterpret_cast<const char*>(&bytes), sizeof bytes) + header + data_);
  }

  /// All bytes, two special tokens and a few merges: 264 of the 320 rows.
  void write_tokenizer() const {
    nlohmann::json vocab;
    for (int byte = 0; byte < 256; ++byte) {
      vocab[text::to_byte_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
    }
    std::string merges = "#version: 0.2\n";
    int id = 258;
    for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
             {"t", "h"}, {"th", "e"}, {"i", "n"}, {"a", "n"}, {"an", "d"}, {"Ġ", "the"}}) {
      merges += left + " " + right + "\n";
      vocab[left + right] = id++;
    }
    write("vocab.json", vocab.dump());
    write("merges.txt", merges);
    nlohmann::json config{{"tokenizer_class", "Qwen2Tokenizer"},
                          {"bos_token", "<|begin|>"},
                          {"eos_token", "<|im_end|>"},
                          {"add_bos_token", true},
                          {"chat_template", "{{ bos_token }}{{ messages[0].content }}"}};
    config["added_tokens_decoder"] = {
        {"256", {{"content", "<|begin|>"}, {"special", true}}},
        {"257", {{"content", "<|im_end|>"}, {"special", true}, {"rstrip", true}}}};
    write("tokenizer_config.json", config.dump());
    write("generation_config.json",
          R"({"eos_token_id": [257, 99], "temperature": 0.5, "top_k": 17,
              "repetition_penalty": 1.25})");
  }

  std::mt19937 random_{99};
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
};

}  // namespace neuros::testing
