#include "kernels/cpu/panel_pack.h"

#include "kernels/cpu/panel_layout.h"
#include "kernels/cpu/test_matrices.h"
#include "kernels/testing/random_blocks.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels::cpu {
namespace {

using base::DType;
using kernels::testing::random_blocks;

class PanelPack : public ::testing::TestWithParam<DType> {};

TEST_P(PanelPack, GivesBackEveryValueToTheBit) {
  const DType dtype = GetParam();
  for (int64_t rows : {1, 15, 16, 17, 48}) {
    const int64_t cols = base::is_quantised(dtype) ? 2 * base::info(dtype).block_elements : 37;
    const std::vector<std::byte> source = random_blocks(dtype, rows * cols, 7);
    std::vector<std::byte> packed(static_cast<size_t>(packed_bytes_function(dtype)(rows, cols)),
                                  std::byte{0xff});
    const int64_t first = std::min<int64_t>(rows, 16);
    const int64_t row_bytes = base::bytes_of(dtype, cols);
    pack_function(dtype)(source.data(), rows, cols, 0, first, packed.data());
    pack_function(dtype)(source.data() + first * row_bytes, rows, cols, first, rows - first,
                         packed.data());
    std::vector<float> expected(static_cast<size_t>(cols)), actual(static_cast<size_t>(cols));
    for (int64_t row = 0; row < rows; ++row) {
      dequantise(dtype, source.data() + row * row_bytes, expected);
      unpack_row({dtype, rows, cols, packed.data()}, row, actual.data());
      ASSERT_EQ(std::memcmp(expected.data(), actual.data(), expected.size() * sizeof(float)), 0)
          << base::name(dtype) << " row " << row << " of " << rows;
    }
  }
}

TEST_P(PanelPack, IsNotMuchLargerThanTheFile) {
  const DType dtype = GetParam();
  const auto file = static_cast<double>(base::bytes_of(dtype, 2048 * 2048));
  const auto packed = static_cast<double>(packed_bytes_function(dtype)(2048, 2048));
  const double allowed = dtype == DType::kTQ1_0 ? 1.25 : 1.04;
  EXPECT_LE(packed, file * allowed) << base::name(dtype);
  EXPECT_EQ(packed_bytes_function(dtype)(2048, 2048) % 64, 0);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, PanelPack, ::testing::ValuesIn(weight_dtypes()),
                         [](const auto& test) { return std::string(base::name(test.param)); });

}  // namespace
}  // namespace neuros::kernels::cpu
