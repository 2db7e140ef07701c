#include "formats/hf_config.h"

#include "formats/hf_rope.h"
#include "formats/json_fields.h"
#include "formats/printable.h"

#include <optional>
#include <utility>
#include <vector>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;
using nlohmann::json;

constexpr int kConfigDepthMax = 32;

/// What a transformers class assumes about fields that config.json leaves out.
struct Family {
  std::string_view class_name;
  std::string_view model_type;
  std::string_view architecture;  ///< in general.architecture
  int64_t context_length;
  std::optional<int64_t> heads_kv;        ///< none: as many as heads
  std::optional<int64_t> head_length;     ///< none: embedding / heads
  std::optional<int64_t> sliding_window;  ///< if the field is absent; null is none
};
constexpr Family kFamilies[] = {
    {"LlamaForCausalLM", "llama", "llama", 2048, {}, {}, {}},
    {"MistralForCausalLM", "mistral", "llama", 131072, 8, {}, 4096},
    {"Qwen2ForCausalLM", "qwen2", "qwen2", 32768, 32, {}, {}},
    {"Qwen3ForCausalLM", "qwen3", "qwen3", 32768, 32, 128, {}},
};
constexpr double kDefaultRmsEpsilon = 1e-6;

tl::unexpected<base::Error> unsupported(const std::string& what) {
  return fail(what + " is not supported", base::ErrorKind::kUnsupported);
}

/// architectures[0], or "" if there is none.
Result<std::string> class_name_of(const JsonFields& config) {
  const json* names = config.find("architectures");
  if (names == nullptr) return std::string();
  if (!names->is_array() || names->empty() || !names->front().is_string())
    return fail("architectures: expected an array of strings");
  return names->front().get<std::string>();
}

const Family* find_family(const std::string& class_name, const std::string& model_type) {
  for (const Family& family : kFamilies) {
    const bool by_class = family.class_name == class_name;
    const bool by_type = class_name.empty() && family.model_type == model_type;
    if (by_class || by_type) return &family;
  }
  return nullptr;
}

std::optional<int64_t> file_type_of(const std::string& dtype) {
  if (dtype == "float32") return 0;
  if (dtype == "float16") return 1;
  if (dtype == "bfloat16") return 32;
  return std::nullopt;
}

/// The ids in `field`, which is an integer or an array of them; empty if absent.
Result<std::vector<int64_t>> token_ids(const JsonFields& config, std::string_view field) {
  const json* value = config.find(field);
  if (value == nullptr) return std::vector<int64_t>();
  const json list = value->is_array() ? *value : json::array({*value});
  std::vector<int64_t> ids;
  for (const json& id : list) {
    const bool valid = id.is_number_unsigned() && id.get<uint64_t>() <= uint64_t{INT32_MAX};
    if (!valid) return fail(std::string(field) + ": " + json_type(id) + ", expected a token id");
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

Result<> add_eos_ids(Metadata& metadata, const JsonFields& config) {
  auto ids = TRY(token_ids(config, "eos_token_id"));
  if (ids.empty()) return {};
  metadata.set("tokenizer.ggml.eos_token_id", ids.front());
  metadata.set("neuros.eos_token_ids", MetadataArray{std::move(ids)});
  return {};
}

/// Translates the fields of one known family, group by group.
class Translator {
 public:
  Translator(const Family& family, const JsonFields& config)
      : family_(family), config_(config), prefix_(family.architecture) {}

  Result<HfConfig> translate() {
    result_.architecture_known = true;
    metadata_.set("general.architecture", std::string(family_.architecture));
    TRY(refuse_unsupported());
    TRY(add_general());
    TRY(add_sizes());
    TRY(add_attention());
    TRY(add_sliding_window());
    TRY(add_rope());
    TRY(add_token_ids());
    return std::move(result_);
  }

 private:
  void set(const std::string& key, MetadataValue value) {
    metadata_.set(prefix_ + "." + key, std::move(value));
  }

  Result<> refuse_unsupported() const {
    if (const auto quantised = TRY(config_.object("quantization_config"))) {
      const auto method = TRY(quantised->text("quant_method"));
      return unsupported("quantization_config " + printable(method.value_or("of unknown method")));
    }
    const auto activation = TRY(config_.text("hidden_act"));
    if (activation && *activation != "silu")
      return unsupported("hidden_act " + printable(*activation));
    return {};
  }

  Result<> add_general() {
    auto dtype = TRY(config_.text("torch_dtype"));
    if (!dtype) dtype = TRY(config_.text("dtype"));
    if (const auto type = dtype ? file_type_of(*dtype) : std::nullopt)
      metadata_.set("general.file_type", *type);
    result_.tied_embeddings = TRY(config_.boolean("tie_word_embeddings")).value_or(false);
    return {};
  }

  Result<> add_sizes() {
    context_length_ =
        TRY(config_.count("max_position_embeddings")).value_or(family_.context_length);
    embedding_ = TRY(config_.required_count("hidden_size"));
    layers_ = TRY(config_.required_count("num_hidden_layers"));
    const int64_t vocabulary = TRY(config_.required_count("vocab_size"));
    const int64_t feed_forward = TRY(config_.required_count("intermediate_size"));
    set("vocab_size", vocabulary);
    set("context_length", context_length_);
    set("embedding_length", embedding_);
    set("block_count", layers_);
    set("feed_forward_length", feed_forward);
    return {};
  }

  Result<> add_attention() {
    const int64_t heads = TRY(config_.required_count("num_attention_heads"));
    const int64_t heads_kv =
        TRY(config_.count("num_key_value_heads")).value_or(family_.heads_kv.value_or(heads));
    const double epsilon = TRY(config_.positive("rms_norm_eps")).value_or(kDefaultRmsEpsilon);
    head_length_ = TRY(head_length(heads));
    set("attention.head_count", heads);
    set("attention.head_count_kv", heads_kv);
    set("attention.key_length", head_length_);
    set("attention.value_length", head_length_);
    set("attention.layer_norm_rms_epsilon", epsilon);
    return {};
  }

  Result<int64_t> head_length(int64_t heads) const {
    if (const auto given = TRY(config_.count("head_dim"))) return *given;
    if (family_.head_length && !config_.has_key("head_dim")) return *family_.head_length;
    if (embedding_ % heads == 0) return embedding_ / heads;
    return fail("hidden_size " + std::to_string(embedding_) + " is not a multiple of " +
                std::to_string(heads) + " heads, and head_dim is missing");
  }

  Result<> add_sliding_window() {
    const bool absent = !config_.has_key("sliding_window");
    const auto given = absent ? family_.sliding_window : TRY(config_.count("sliding_window"));
    if (!given || !TRY(every_layer_slides())) return {};
    set("attention.sliding_window", *given);
    return {};
  }

  /// True if all layers use the window, false if none does; a mix is refused.
  Result<bool> every_layer_slides() const {
    if (family_.model_type == "llama") return false;
    if (family_.model_type == "mistral") return true;
    if (!TRY(config_.boolean("use_sliding_window")).value_or(false)) return false;
    if (const json* types = config_.find("layer_types")) return uniform_layer_type(*types);
    const auto full_layers = TRY(config_.integer("max_window_layers")).value_or(28);
    if (full_layers <= 0) return true;
    if (full_layers >= layers_) return false;
    return unsupported("sliding window from layer " + std::to_string(full_layers) + " on");
  }

  static Result<bool> uniform_layer_type(const json& types) {
    if (!types.is_array() || types.empty()) return fail("layer_types: expected an array");
    for (const json& type : types) {
      if (type != types.front()) return unsupported("layer_types of several kinds");
    }
    return types.front() == "sliding_attention";
  }

  Result<> add_rope() {
    const double share = TRY(config_.positive("partial_rotary_factor")).value_or(1.0);
    if (share > 1.0) return fail("partial_rotary_factor " + std::to_string(share) + " is above 1");
    set("rope.dimension_count", static_cast<int64_t>(static_cast<double>(head_length_) * share));
    return add_hf_rope(metadata_, prefix_, config_, context_length_);
  }

  Result<> add_token_ids() {
    const auto bos = TRY(token_ids(config_, "bos_token_id"));
    const auto pad = TRY(token_ids(config_, "pad_token_id"));
    if (!bos.empty()) metadata_.set("tokenizer.ggml.bos_token_id", bos.front());
    if (!pad.empty()) metadata_.set("tokenizer.ggml.padding_token_id", pad.front());
    return add_eos_ids(metadata_, config_);
  }

  const Family& family_;
  const JsonFields& config_;
  std::string prefix_;
  HfConfig result_;
  Metadata& metadata_ = result_.metadata;
  int64_t context_length_ = 0;
  int64_t embedding_ = 0;
  int64_t layers_ = 0;
  int64_t head_length_ = 0;
};

Result<HfConfig> parse_config(std::string_view text) {
  const json root = TRY(parse_json_object(text, kConfigDepthMax));
  const JsonFields config(root);
  const std::string class_name = TRY(class_name_of(config));
  const std::string model_type = TRY(config.text("model_type")).value_or("");
  if (class_name.empty() && model_type.empty())
    return fail("neither architectures nor model_type: not a model's config");
  if (const Family* family = find_family(class_name, model_type))
    return Translator(*family, config).translate();
  HfConfig unknown;
  unknown.metadata.set("general.architecture", model_type.empty() ? class_name : model_type);
  return unknown;
}

Result<> add_generation(Metadata& metadata, std::string_view text) {
  const json root = TRY(parse_json_object(text, kConfigDepthMax));
  return add_eos_ids(metadata, JsonFields(root));
}

}  // namespace

Result<HfConfig> parse_hf_config(std::string_view config_text) {
  auto config = parse_config(config_text);
  if (!config) return tl::unexpected(base::with_context(config.error(), "config.json"));
  return config;
}

Result<> add_generation_config(Metadata& metadata, std::string_view generation_text) {
  auto added = add_generation(metadata, generation_text);
  if (!added) return tl::unexpected(base::with_context(added.error(), "generation_config.json"));
  return added;
}

}  // namespace neuros::formats
