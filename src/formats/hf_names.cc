#include "formats/hf_names.h"

#include <algorithm>
#include <span>

namespace neuros::formats {
namespace {

struct Rename {
  std::string_view hf;
  std::string_view gguf;
};

constexpr Rename kWholeNames[] = {
    {"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

/// Of one layer, without ".weight" or ".bias".
constexpr Rename kLayerModules[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

std::optional<std::string_view> renamed(std::span<const Rename> table, std::string_view name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Rename& row) { return row.hf == name; });
  return found == table.end() ? std::nullopt : std::optional(found->gguf);
}

/// `rest` is what follows "layers.".
std::optional<std::string> layer_name(std::string_view rest) {
  const size_t digits = rest.find_first_not_of("0123456789");
  if (digits == 0 || digits > 9 || rest[digits] != '.') return std::nullopt;
  const size_t dot = rest.rfind('.');
  const std::string_view kind = rest.substr(dot);
  if (dot == digits || (kind != ".weight" && kind != ".bias")) return std::nullopt;
  const auto module = renamed(kLayerModules, rest.substr(digits + 1, dot - digits - 1));
  if (!module) return std::nullopt;
  return "blk." + std::string(rest.substr(0, digits)) + "." + std::string(*module) +
         std::string(kind);
}

}  // namespace

std::optional<std::string> gguf_name_of_hf_tensor(std::string_view name) {
  constexpr std::string_view kPrefix = "model.";
  constexpr std::string_view kLayers = "layers.";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  if (name.starts_with(kLayers)) return layer_name(name.substr(kLayers.size()));
  const auto whole = renamed(kWholeNames, name);
  return whole ? std::optional(std::string(*whole)) : std::nullopt;
}

bool is_hf_buffer(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq");
}

}  // namespace neuros::formats
