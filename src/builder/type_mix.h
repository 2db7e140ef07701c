#pragma once

#include "base/dtype.h"
#include "base/tensor_view.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

/// What quantising a whole model to a named type means tensor by tensor, as the field does it:
/// vectors stay f32; the head keeps more bits; "q4_k_m" gives some layers' attn_v and ffn_down
/// q6_k.
struct TypeMix {
  std::string name;                       ///< "q4_k_m"
  base::DType most = base::DType::kF16;   ///< of most matrices
  base::DType head = base::DType::kF16;   ///< output.weight, or a tied token_embd.weight
  base::DType table = base::DType::kF16;  ///< token_embd.weight with a head of its own
  bool more_bits = false;                 ///< attn_v and ffn_down of some layers get q6_k
  int32_t file_type = 1;                  ///< its number in GGUF's general.file_type
};

/// By name, case-insensitive; nullopt if there is none.
std::optional<TypeMix> find_type_mix(std::string_view name);
std::vector<std::string> type_mix_names();

/// The type of one tensor. A row that is no multiple of the type's block gets the nearest type that
/// fits: q4_k -> q5_0, q6_k -> q8_0, tq2_0 -> q4_0 ..., f16 if even blocks of 32 do not.
base::DType dtype_in_mix(const TypeMix& mix, const std::string& tensor, const base::Shape& shape,
                         int32_t layers, bool tied_head);

}  // namespace neuros::builder
