#include "builder/synth.h"

#include "builder/random_blocks.h"
#include "builder/synth_shapes.h"
#include "builder/type_mix.h"
#include "formats/gguf_writer.h"
#include "text/byte_alphabet.h"

#include <algorithm>
#include <cmath>

#include <sys/mman.h>

namespace neuros::builder {
namespace {

constexpr size_t kPieceBytes = size_t{4} << 20;

struct Spec {
  const SynthShape* shape = nullptr;
  TypeMix mix;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

base::Result<Spec> parse_spec(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return base::fail("spec " + text + ": expected NAME:TYPE, as in llama-1b:q4_k_m");
  }
  const std::string name = text.substr(0, colon), type = text.substr(colon + 1);
  const auto shapes = synth_shapes();
  const auto shape = std::find_if(shapes.begin(), shapes.end(),
                                  [&](const SynthShape& s) { return s.name == name; });
  if (shape == shapes.end()) {
    return base::fail("spec " + text + ": no model " + name + "; known: " + joined(synth_names()));
  }
  const auto mix = find_type_mix(type);
  if (!mix) {
    return base::fail("spec " + text + ": no type " + type +
                      "; known: " + joined(type_mix_names()));
  }
  return Spec{&*shape, *mix};
}

using Tensors = std::vector<formats::TensorDeclaration>;

void declare_layer(const SynthShape& s, const std::string& prefix, Tensors& tensors) {
  const auto add = [&](const char* name, base::Shape shape) {
    tensors.push_back({prefix + name, base::DType::kF32, std::move(shape)});
  };
  const int64_t q = int64_t{s.heads} * s.head_dim, kv = int64_t{s.kv_heads} * s.head_dim;
  add("attn_norm.weight", {s.hidden});
  add("attn_q.weight", {q, s.hidden});
  add("attn_k.weight", {kv, s.hidden});
  add("attn_v.weight", {kv, s.hidden});
  if (s.qkv_bias) {
    add("attn_q.bias", {q});
    add("attn_k.bias", {kv});
    add("attn_v.bias", {kv});
  }
  if (s.qk_norm) {
    add("attn_q_norm.weight", {s.head_dim});
    add("attn_k_norm.weight", {s.head_dim});
  }
  add("attn_output.weight", {s.hidden, q});
  add("ffn_norm.weight", {s.hidden});
  add("ffn_gate.weight", {s.feed_forward, s.hidden});
  add("ffn_up.weight", {s.feed_forward, s.hidden});
  add("ffn_down.weight", {s.hidden, s.feed_forward});
}

Tensors declare_tensors(const Spec& spec) {
  const SynthShape& s = *spec.shape;
  Tensors tensors;
  tensors.push_back({"token_embd.weight", base::DType::kF32, {s.vocabulary, s.hidden}});
  for (int32_t i = 0; i < s.layers; ++i) {
    declare_layer(s, "blk." + std::to_string(i) + ".", tensors);
  }
  tensors.push_back({"output_norm.weight", base::DType::kF32, {s.hidden}});
  if (!s.tied_head) {
    tensors.push_back({"output.weight", base::DType::kF32, {s.vocabulary, s.hidden}});
  }
  for (formats::TensorDeclaration& tensor : tensors) {
    tensor.dtype = dtype_in_mix(spec.mix, tensor.name, tensor.shape, s.layers, s.tied_head);
  }
  return tensors;
}

struct VocabularyLists {
  std::vector<std::string> tokens, merges;
  std::vector<int64_t> types;
};

/// Every byte, pairs of small letters as merges, an end token, fillers up to the size.
VocabularyLists make_vocabulary(int64_t size) {
  VocabularyLists lists;
  const auto add = [&](std::string token, int64_t type) {
    lists.tokens.push_back(std::move(token));
    lists.types.push_back(type);
  };
  for (int byte = 0; byte < 256; ++byte) {
    add(text::to_byte_alphabet(std::string(1, static_cast<char>(byte))), 1);
  }
  add("<|end|>", 3);
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z' && static_cast<int64_t>(lists.tokens.size()) < size; ++b) {
      lists.merges.push_back(std::string(1, a) + " " + b);
      add(std::string{a, b}, 1);
    }
  }
  while (static_cast<int64_t>(lists.tokens.size()) < size) {
    add("<|filler " + std::to_string(lists.tokens.size()) + "|>", 1);
  }
  return lists;
}

void describe_vocabulary(const SynthShape& s, formats::Metadata& metadata) {
  VocabularyLists lists = make_vocabulary(s.vocabulary);
  const bool qwen = std::string_view(s.architecture).starts_with("qwen");
  metadata.set("tokenizer.ggml.model", std::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", std::string(qwen ? "qwen2" : "llama-bpe"));
  metadata.set("tokenizer.ggml.tokens", formats::MetadataArray{std::move(lists.tokens)});
  metadata.set("tokenizer.ggml.token_type", formats::MetadataArray{std::move(lists.types)});
  metadata.set("tokenizer.ggml.merges", formats::MetadataArray{std::move(lists.merges)});
  metadata.set("tokenizer.ggml.eos_token_id", int64_t{256});
  metadata.set("tokenizer.ggml.add_bos_token", false);
}

formats::Metadata describe_model(const std::string& text, const SynthShape& s) {
  formats::Metadata metadata;
  const std::string prefix = std::string(s.architecture) + ".";
  metadata.set("general.architecture", std::string(s.architecture));
  metadata.set("general.name", "synthetic " + text);
  metadata.set(prefix + "block_count", int64_t{s.layers});
  metadata.set(prefix + "context_length", s.context);
  metadata.set(prefix + "embedding_length", s.hidden);
  metadata.set(prefix + "feed_forward_length", s.feed_forward);
  metadata.set(prefix + "vocab_size", s.vocabulary);
  metadata.set(prefix + "attention.head_count", int64_t{s.heads});
  metadata.set(prefix + "attention.head_count_kv", int64_t{s.kv_heads});
  metadata.set(prefix + "attention.key_length", int64_t{s.head_dim});
  metadata.set(prefix + "attention.value_length", int64_t{s.head_dim});
  metadata.set(prefix + "attention.layer_norm_rms_epsilon", 1e-5);
  metadata.set(prefix + "rope.freq_base", s.rope_base);
  metadata.set(prefix + "rope.dimension_count", int64_t{s.head_dim});
  describe_vocabulary(s, metadata);
  return metadata;
}

/// Norms are 1, biases 0, matrices random.
base::Result<> write_tensor(const formats::TensorDeclaration& tensor, RandomWords& random,
                            formats::GgufWriter& writer) {
  const int64_t elements = base::element_count(tensor.shape);
  if (tensor.shape.size() == 1) {
    const float value = tensor.name.ends_with("norm.weight") ? 1.0f : 0.0f;
    const std::vector<float> values(static_cast<size_t>(elements), value);
    return writer.append(tensor.name, std::as_bytes(std::span(values)));
  }
  const auto deviation = 1.0f / std::sqrt(static_cast<float>(tensor.shape.back()));
  auto left = static_cast<size_t>(base::bytes_of(tensor.dtype, elements));
  const auto block = static_cast<size_t>(base::info(tensor.dtype).block_bytes);
  std::vector<std::byte> piece(std::min(left, kPieceBytes / block * block));
  while (left > 0) {
    const std::span<std::byte> part = std::span(piece).first(std::min(left, piece.size()));
    fill_random_blocks(tensor.dtype, deviation, random, part);
    TRY(writer.append(tensor.name, part));
    left -= part.size();
  }
  return {};
}

/// Addresses without memory.
base::Result<std::shared_ptr<const std::byte>> reserve_addresses(size_t bytes) {
  void* const start =
      ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) {
    return base::fail("outline: no " + std::to_string(bytes) + " bytes of addresses",
                      base::ErrorKind::kOutOfMemory);
  }
  return std::shared_ptr<const std::byte>(
      static_cast<const std::byte*>(start),
      [start, bytes](const std::byte*) { ::munmap(start, bytes); });
}

}  // namespace

bool is_synth_spec(const std::string& text) {
  return parse_spec(text).has_value();
}

std::vector<std::string> synth_names() {
  std::vector<std::string> names;
  for (const SynthShape& shape : synth_shapes()) names.emplace_back(shape.name);
  return names;
}

base::Result<> synthesise(const std::string& spec, const std::string& path,
                          const std::function<void(double)>& on_progress) {
  const Spec parsed = TRY(parse_spec(spec));
  const Tensors tensors = declare_tensors(parsed);
  auto writer =
      TRY(formats::GgufWriter::create(path, describe_model(spec, *parsed.shape), tensors));
  RandomWords random(1);
  for (const formats::TensorDeclaration& tensor : tensors) {
    TRY(write_tensor(tensor, random, writer));
    if (on_progress) {
      on_progress(static_cast<double>(writer.bytes_written()) /
                  static_cast<double>(writer.bytes_total()));
    }
  }
  return writer.finish();
}

base::Result<SynthOutline> outline_synth(const std::string& spec) {
  const Spec parsed = TRY(parse_spec(spec));
  SynthOutline outline;
  outline.checkpoint.path = spec;
  outline.checkpoint.metadata = describe_model(spec, *parsed.shape);
  const Tensors tensors = declare_tensors(parsed);
  const auto bytes_of = [](const formats::TensorDeclaration& tensor) {
    return static_cast<size_t>(base::bytes_of(tensor.dtype, base::element_count(tensor.shape)));
  };
  size_t most = 0;
  for (const auto& tensor : tensors) most = std::max(most, bytes_of(tensor));
  outline.bytes = TRY(reserve_addresses(most));
  for (const auto& tensor : tensors) {
    outline.checkpoint.tensors[tensor.name] = {
        tensor.dtype, tensor.shape, {outline.bytes.get(), bytes_of(tensor)}};
  }
  return outline;
}

}  // namespace neuros::builder
