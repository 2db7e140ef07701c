#include "builder/type_mix.h"

#include <array>
#include <charconv>

namespace neuros::builder {
namespace {

using base::DType;

const std::array<TypeMix, 19>& mixes() {
  static const std::array<TypeMix, 19> all{{
      {"f32", DType::kF32, DType::kF32, DType::kF32, false, 0},
      {"f16", DType::kF16, DType::kF16, DType::kF16, false, 1},
      {"bf16", DType::kBF16, DType::kBF16, DType::kBF16, false, 32},
      {"q8_0", DType::kQ8_0, DType::kQ8_0, DType::kQ8_0, false, 7},
      {"q4_0", DType::kQ4_0, DType::kQ6_K, DType::kQ4_0, false, 2},
      {"q4_1", DType::kQ4_1, DType::kQ6_K, DType::kQ4_1, false, 3},
      {"q5_0", DType::kQ5_0, DType::kQ6_K, DType::kQ5_0, false, 8},
      {"q5_1", DType::kQ5_1, DType::kQ6_K, DType::kQ5_1, false, 9},
      {"q2_k", DType::kQ2_K, DType::kQ6_K, DType::kQ2_K, false, 10},
      {"q3_k", DType::kQ3_K, DType::kQ6_K, DType::kQ3_K, false, 12},
      {"q4_k_s", DType::kQ4_K, DType::kQ6_K, DType::kQ4_K, false, 14},
      {"q4_k_m", DType::kQ4_K, DType::kQ6_K, DType::kQ4_K, true, 15},
      {"q5_k_m", DType::kQ5_K, DType::kQ6_K, DType::kQ5_K, true, 17},
      {"q6_k", DType::kQ6_K, DType::kQ6_K, DType::kQ6_K, false, 18},
      {"iq4_nl", DType::kIQ4_NL, DType::kQ6_K, DType::kIQ4_NL, false, 25},
      {"iq4_xs", DType::kIQ4_XS, DType::kQ6_K, DType::kIQ4_XS, false, 30},
      {"tq1_0", DType::kTQ1_0, DType::kQ6_K, DType::kQ4_K, false, 36},
      {"tq2_0", DType::kTQ2_0, DType::kQ6_K, DType::kQ4_K, false, 37},
      {"q2_0", DType::kQ2_0, DType::kQ6_K, DType::kQ4_K, false, 41},
  }};
  return all;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// "blk.12.ffn_down.weight" -> 12; -1 outside the layers.
int32_t layer_of(const std::string& tensor) {
  if (!tensor.starts_with("blk.")) return -1;
  int32_t layer = -1;
  std::from_chars(tensor.data() + 4, tensor.data() + tensor.size(), layer);
  return layer;
}

/// The first and last eighth of the layers, and every third between: they suffer most.
bool is_sensitive(int32_t layer, int32_t layers) {
  const int32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

/// What stands in for a type whose blocks do not divide a row.
DType with_smaller_blocks(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kIQ4_XS:
      return DType::kIQ4_NL;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    case DType::kTQ1_0:
    case DType::kTQ2_0:
    case DType::kQ2_0:
    case DType::kQ2_0_128:
      return DType::kQ4_0;
    default:
      return DType::kF16;
  }
}

DType fitting(DType dtype, int64_t cols) {
  while (cols % base::info(dtype).block_elements != 0) dtype = with_smaller_blocks(dtype);
  return dtype;
}

DType wanted(const TypeMix& mix, const std::string& tensor, int32_t layers, bool tied_head) {
  if (tensor == "output.weight") return mix.head;
  if (tensor == "token_embd.weight") return tied_head ? mix.head : mix.table;
  const bool sensitive = tensor.ends_with("attn_v.weight") || tensor.ends_with("ffn_down.weight");
  if (mix.more_bits && sensitive && is_sensitive(layer_of(tensor), layers)) return DType::kQ6_K;
  return mix.most;
}

}  // namespace

std::optional<TypeMix> find_type_mix(std::string_view name) {
  for (const TypeMix& mix : mixes()) {
    if (mix.name == lower(name)) return mix;
  }
  return std::nullopt;
}

std::vector<std::string> type_mix_names() {
  std::vector<std::string> names;
  for (const TypeMix& mix : mixes()) names.push_back(mix.name);
  return names;
}

base::DType dtype_in_mix(const TypeMix& mix, const std::string& tensor, const base::Shape& shape,
                         int32_t layers, bool tied_head) {
  if (shape.size() < 2) return DType::kF32;
  return fitting(wanted(mix, tensor, layers, tied_head), shape.back());
}

}  // namespace neuros::builder
