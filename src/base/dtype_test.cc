#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/float16.h"
#include "base/mapped_file.h"

namespace neuros::base {
namespace {

TEST(DType, NamesRoundTrip) {
  for (const DTypeInfo& type : all_dtypes()) {
    EXPECT_EQ(dtype_from_name(type.name), type.dtype);
    EXPECT_EQ(&info(type.dtype), &type);
  }
  EXPECT_EQ(dtype_from_name("Q4_K"), DType::kQ4_K);
  EXPECT_EQ(dtype_from_name("q9"), std::nullopt);
}

TEST(DType, SharedIdGivesTheMainlineType) {
  EXPECT_EQ(dtype_from_ggml_id(42), DType::kQ2_0);
  EXPECT_EQ(dtype_from_ggml_id(39), std::nullopt);
  EXPECT_EQ(ggml_type_name(39), "mxfp4");
  EXPECT_EQ(ggml_type_name(1000), "");
}

TEST(DType, Bytes) {
  EXPECT_EQ(bytes_of(DType::kQ4_K, 512), 288);
  EXPECT_DOUBLE_EQ(bits_per_element(DType::kQ8_0), 8.5);
}

TEST(Float16, EveryHalfRoundTrips) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value))));
    } else {
      EXPECT_EQ(float_to_f16(value), half);
    }
  }
}

TEST(Float16, RoundsToNearestEven) {
  EXPECT_EQ(float_to_f16(1.0f + 0x1p-11f), float_to_f16(1.0f));
  EXPECT_EQ(float_to_f16(1.0f + 0x1p-11f + 0x1p-20f), float_to_f16(1.0f) + 1);
  EXPECT_EQ(float_to_f16(0x1p-25f), 0);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-8f), float_to_bf16(1.0f));
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(MappedFile, MissingFileNamesThePath) {
  const auto file = MappedFile::open("/nonexistent/file");
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(file.error().message.find("/nonexistent/file"), std::string::npos);
}

}  // namespace
}  // namespace neuros::base
