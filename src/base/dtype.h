#pragma once

/// Element types of tensors and the geometry of their blocks.
/// Names, ids and block sizes are those of the GGUF format (ggml's type table); Q2_0_128 is the
/// 128-element variant that shares id 42 with Q2_0 and is told apart by the tensor's byte span.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace neuros::base {

enum class DType : uint8_t {
  kF32, kF16, kBF16,
  kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0,
  kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K,
  kIQ4_NL, kIQ4_XS,
  kTQ1_0, kTQ2_0, kQ2_0, kQ2_0_128,
  kI8, kI16, kI32, kI64, kF64,
};
inline constexpr int kDTypeCount = 24;
/// The types above up to here can hold weights; the rest only appear as auxiliary tensors.
inline constexpr int kWeightDTypeCount = 19;

struct DTypeInfo {
  DType dtype;
  std::string_view name;   ///< "q4_k", as flags and plans spell it
  uint32_t ggml_id;        ///< the id in GGUF files
  int64_t block_elements;  ///< elements per block, 1 for plain types
  int64_t block_bytes;     ///< bytes per block
};

const DTypeInfo& info(DType dtype);
inline std::string_view name(DType dtype) { return info(dtype).name; }
/// Bits per element, e.g. 4.5 for q4_k.
inline double bits_per_element(DType dtype) {
  return 8.0 * static_cast<double>(info(dtype).block_bytes) /
         static_cast<double>(info(dtype).block_elements);
}
/// Bytes of `elements` consecutive elements; `elements` must be a multiple of the block.
int64_t bytes_of(DType dtype, int64_t elements);
bool is_quantised(DType dtype);
std::span<const DTypeInfo> all_dtypes();

/// By name, case-insensitive ("Q4_K", "q4_k"); nullopt if unknown.
std::optional<DType> dtype_from_name(std::string_view name);
/// By GGUF id; 42 gives kQ2_0. nullopt if unknown or recognised but not supported.
std::optional<DType> dtype_from_ggml_id(uint32_t id);
/// The ggml name of any id that format knows, supported or not ("mxfp4", "iq2_xxs"), else "".
std::string_view ggml_type_name(uint32_t id);

}  // namespace neuros::base
