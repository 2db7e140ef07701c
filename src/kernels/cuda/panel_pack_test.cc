#include "kernels/cuda/panel_pack.h"

#include "base/float16.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/quantise.h"
#include "kernels/testing/random_blocks.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

using base::DType;

struct File {
  DType dtype;
  int64_t rows, cols;
  std::vector<std::byte> bytes;

  File(DType type, int64_t row_count, int64_t col_count)
      : dtype(type),
        rows(row_count),
        cols(col_count),
        bytes(kernels::testing::random_blocks(type, row_count * col_count, 7)) {}

  const std::byte* row(int64_t index) const {
    return bytes.data() + index * base::bytes_of(dtype, cols);
  }
};

/// Packed in row ranges that end at `ends`, the last range first.
std::vector<std::byte> packed_in_ranges(const File& file, const std::vector<int64_t>& ends) {
  const int64_t bytes = packed_bytes_function(file.dtype)(file.rows, file.cols);
  std::vector<std::byte> packed(static_cast<size_t>(bytes), std::byte{0xff});
  for (size_t i = ends.size(); i-- > 0;) {
    const int64_t first = i == 0 ? 0 : ends[i - 1];
    pack_function(file.dtype)(file.row(first), file.rows, file.cols, first, ends[i] - first,
                              packed.data());
  }
  return packed;
}

class FragmentPack : public ::testing::TestWithParam<int> {
 protected:
  DType dtype() const { return static_cast<DType>(GetParam()); }
  /// Columns that fill no chunk where the type's blocks allow it.
  int64_t odd_cols() const {
    const int64_t block = base::info(dtype()).block_elements;
    return block == 1 ? 37 : 7 * block;
  }
};

TEST_P(FragmentPack, GivesBackEveryValueToTheBit) {
  for (const int64_t rows : {1, 7, 8, 9, 15, 16, 17, 48, 61}) {
    const File file(dtype(), rows, odd_cols());
    std::vector<int64_t> ends;
    for (int64_t end = 16; end < rows; end += 32) ends.push_back(end);
    ends.push_back(rows);
    const std::vector<std::byte> packed = packed_in_ranges(file, ends);
    std::vector<float> expected(static_cast<size_t>(file.cols)), actual(expected.size());
    for (int64_t row = 0; row < rows; ++row) {
      dequantise(dtype(), file.row(row), expected);
      unpack_row({dtype(), rows, file.cols, packed.data()}, row, actual.data());
      ASSERT_EQ(std::memcmp(expected.data(), actual.data(), expected.size() * sizeof(float)), 0)
          << "row " << row << " of " << rows;
    }
  }
}

TEST_P(FragmentPack, WritesEveryByteTheSameInAnyRanges) {
  const File file(dtype(), 61, odd_cols());
  const std::vector<std::byte> whole = packed_in_ranges(file, {61});
  EXPECT_TRUE(whole == packed_in_ranges(file, {16, 32, 61}));
  EXPECT_TRUE(whole == packed_in_ranges(file, {48, 61}));
}

TEST_P(FragmentPack, IsNotMuchLargerThanTheFile) {
  const auto file = static_cast<double>(base::bytes_of(dtype(), 2048 * 2048));
  const auto packed = static_cast<double>(packed_bytes_function(dtype())(2048, 2048));
  EXPECT_LE(packed, file * (dtype() == DType::kTQ1_0 ? 1.25 : 1.04));
  for (const int64_t rows : {1, 17, 48}) {
    EXPECT_EQ(packed_bytes_function(dtype())(rows, odd_cols()) % 64, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, FragmentPack, ::testing::Range(0, base::kWeightDTypeCount),
                         [](const auto& test) {
                           return std::string(base::name(static_cast<DType>(test.param)));
                         });

/// The words that lane 4 g + t has of a step, as the layout's text says; by hand for one type of
/// each kind of plane.
TEST(FragmentPlaces, HalvesAreCoreMatrices) {
  const int64_t cols = 128;
  std::vector<uint16_t> file(16 * cols), packed(16 * cols);
  for (size_t i = 0; i < file.size(); ++i) file[i] = static_cast<uint16_t>(i);
  pack_function(DType::kF16)(reinterpret_cast<const std::byte*>(file.data()), 16, cols, 0, 16,
                             reinterpret_cast<std::byte*>(packed.data()));
  // Chunks, halves of the rows, pieces, rows, the eight columns of a row.
  for (int at = 0; at < 16 * cols; ++at) {
    const int chunk = at / 1024, half = at / 512 % 2, piece = at / 64 % 8;
    const int row = at / 8 % 8 + 8 * half, t = at / 2 % 4;
    const int column = 64 * chunk + piece / 2 * 16 + 4 * t + piece % 2 * 2 + at % 2;
    ASSERT_EQ(packed[static_cast<size_t>(at)], row * cols + column) << "place " << at;
  }
}

TEST(FragmentPlaces, WordsOfEightBitsAreInstructionOperands) {
  const int64_t cols = 128;
  const File file(DType::kQ8_0, 16, cols);
  const std::vector<std::byte> packed = packed_in_ranges(file, {16});
  for (int step = 0; step < 4; ++step) {
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      const std::byte* words = packed.data() + 128 + step * 512 + lane * 16;
      for (int i = 0; i < 16; ++i) {
        const int row = g + i / 4 % 2 * 8, column = i / 8 * 16 + 4 * t + i % 4;
        ASSERT_EQ(words[i], file.row(row)[step * 34 + 2 + column]) << "lane " << lane;
      }
      for (int half = 0; half < 2; ++half) {
        const std::byte* scale = packed.data() + g * 16 + step * 4 + half * 2;
        ASSERT_EQ(std::memcmp(scale, file.row(g + 8 * half) + step * 34, 2), 0);
      }
    }
  }
}

}  // namespace
}  // namespace neuros::kernels::cuda
