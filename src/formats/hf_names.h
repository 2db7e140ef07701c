#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace neuros::formats {

/// The GGUF name of a tensor of a Hugging Face checkpoint of the Llama shape (llama, mistral,
/// qwen2, qwen3): "model.layers.3.mlp.up_proj.weight" gives "blk.3.ffn_up.weight". nullopt if the
/// name is not one of docs/formats/checkpoint.md.
std::optional<std::string> gguf_name_of_hf_tensor(std::string_view name);

/// True for buffers that are recomputed and may be left out ("...rotary_emb.inv_freq").
bool is_hf_buffer(std::string_view name);

}  // namespace neuros::formats
