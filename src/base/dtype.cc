#include "base/dtype.h"

#include <array>
#include <cctype>

#include "base/check.h"

namespace neuros::base {
namespace {

constexpr std::array<DTypeInfo, kDTypeCount> kInfos{{
    {DType::kF32, "f32", 0, 1, 4},
    {DType::kF16, "f16", 1, 1, 2},
    {DType::kBF16, "bf16", 30, 1, 2},
    {DType::kQ4_0, "q4_0", 2, 32, 18},
    {DType::kQ4_1, "q4_1", 3, 32, 20},
    {DType::kQ5_0, "q5_0", 6, 32, 22},
    {DType::kQ5_1, "q5_1", 7, 32, 24},
    {DType::kQ8_0, "q8_0", 8, 32, 34},
    {DType::kQ2_K, "q2_k", 10, 256, 84},
    {DType::kQ3_K, "q3_k", 11, 256, 110},
    {DType::kQ4_K, "q4_k", 12, 256, 144},
    {DType::kQ5_K, "q5_k", 13, 256, 176},
    {DType::kQ6_K, "q6_k", 14, 256, 210},
    {DType::kIQ4_NL, "iq4_nl", 20, 32, 18},
    {DType::kIQ4_XS, "iq4_xs", 23, 256, 136},
    {DType::kTQ1_0, "tq1_0", 34, 256, 54},
    {DType::kTQ2_0, "tq2_0", 35, 256, 66},
    {DType::kQ2_0, "q2_0", 42, 64, 18},
    {DType::kQ2_0_128, "q2_0_128", 42, 128, 34},
    {DType::kI8, "i8", 24, 1, 1},
    {DType::kI16, "i16", 25, 1, 2},
    {DType::kI32, "i32", 26, 1, 4},
    {DType::kI64, "i64", 27, 1, 8},
    {DType::kF64, "f64", 28, 1, 8},
}};

struct UnsupportedType {
  uint32_t id;
  std::string_view name;
};
constexpr std::array<UnsupportedType, 12> kUnsupported{{{9, "q8_1"},
                                                        {15, "q8_k"},
                                                        {16, "iq2_xxs"},
                                                        {17, "iq2_xs"},
                                                        {18, "iq3_xxs"},
                                                        {19, "iq1_s"},
                                                        {21, "iq3_s"},
                                                        {22, "iq2_s"},
                                                        {29, "iq1_m"},
                                                        {39, "mxfp4"},
                                                        {40, "nvfp4"},
                                                        {41, "q1_0"}}};

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(a[i])) !=
        std::tolower(static_cast<unsigned char>(b[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace

const DTypeInfo& info(DType dtype) {
  const DTypeInfo& found = kInfos.at(static_cast<size_t>(dtype));
  CHECK(found.dtype == dtype);
  return found;
}

int64_t bytes_of(DType dtype, int64_t elements) {
  const DTypeInfo& type = info(dtype);
  CHECK(elements % type.block_elements == 0);
  return elements / type.block_elements * type.block_bytes;
}

bool is_quantised(DType dtype) { return info(dtype).block_elements > 1; }

std::span<const DTypeInfo> all_dtypes() { return kInfos; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& type : kInfos) {
    if (equals_ignoring_case(type.name, name)) return type.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_ggml_id(uint32_t id) {
  for (const DTypeInfo& type : kInfos) {
    if (type.ggml_id == id) return type.dtype;
  }
  return std::nullopt;
}

std::string_view ggml_type_name(uint32_t id) {
  for (const DTypeInfo& type : kInfos) {
    if (type.ggml_id == id) return type.name;
  }
  for (const UnsupportedType& type : kUnsupported) {
    if (type.id == id) return type.name;
  }
  return "";
}

}  // namespace neuros::base
