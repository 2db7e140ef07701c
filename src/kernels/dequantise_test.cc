/// Blocks written by hand and the values that kernels/blocks.h says they have.

#include "base/float16.h"
#include "kernels/blocks.h"
#include "kernels/quantise.h"

#include <array>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using base::DType;
using base::float_to_f16;

template <typename Block>
std::vector<float> values_of(DType dtype, const Block& block) {
  std::vector<float> out(static_cast<size_t>(base::info(dtype).block_elements));
  dequantise(dtype, reinterpret_cast<const std::byte*>(&block), out);
  return out;
}

TEST(Dequantise, Q4_0) {
  BlockQ4_0 block{.d = float_to_f16(0.5f), .qs = {0xf0, 0x19}};
  const auto values = values_of(DType::kQ4_0, block);
  EXPECT_EQ(values[0], 0.5f * -8);
  EXPECT_EQ(values[16], 0.5f * 7);
  EXPECT_EQ(values[1], 0.5f * 1);
  EXPECT_EQ(values[17], 0.5f * -7);
}

TEST(Dequantise, Q4_1) {
  BlockQ4_1 block{.d = float_to_f16(0.5f), .m = float_to_f16(-2.0f), .qs = {0xf1}};
  const auto values = values_of(DType::kQ4_1, block);
  EXPECT_EQ(values[0], -1.5f);
  EXPECT_EQ(values[16], 5.5f);
  EXPECT_EQ(values[31], -2.0f);
}

TEST(Dequantise, Q5_0AndQ5_1) {
  BlockQ5_0 block{.d = float_to_f16(2.0f), .qh = {0x01, 0, 0x02, 0x80}, .qs = {0x03}};
  const auto values = values_of(DType::kQ5_0, block);
  EXPECT_EQ(values[0], 2.0f * (16 + 3 - 16));
  EXPECT_EQ(values[16], 2.0f * (0 - 16));
  EXPECT_EQ(values[17], 2.0f * (16 - 16));
  EXPECT_EQ(values[31], 2.0f * (16 - 16));

  BlockQ5_1 with_minimum{.d = float_to_f16(2.0f), .m = float_to_f16(1.0f), .qh = {1}, .qs = {0x03}};
  EXPECT_EQ(values_of(DType::kQ5_1, with_minimum)[0], 2.0f * 19 + 1.0f);
}

TEST(Dequantise, Q8_0) {
  BlockQ8_0 block{.d = float_to_f16(-0.25f), .qs = {-128, 127}};
  const auto values = values_of(DType::kQ8_0, block);
  EXPECT_EQ(values[0], 32.0f);
  EXPECT_EQ(values[1], -31.75f);
}

TEST(Dequantise, Q2_K) {
  BlockQ2_K block{};
  block.d = float_to_f16(0.5f);
  block.dmin = float_to_f16(0.25f);
  block.scales[3] = 0x74;       // group 3: elements 48..63, the high half of run 1
  block.qs[16 + 5] = 0b001100;  // element 32 * 1 + 16 + 5
  EXPECT_EQ(values_of(DType::kQ2_K, block)[53], 0.5f * 4 * 3 - 0.25f * 7);
  block.scales[15] = 0x0f;
  block.qs[63] = 0b10000000;
  EXPECT_EQ(values_of(DType::kQ2_K, block)[255], 0.5f * 15 * 2);
}

TEST(Dequantise, Q3_K) {
  BlockQ3_K block{};
  block.d = float_to_f16(1.0f);
  block.scales[1] = 0x05;    // group 1: low nibble 5
  block.scales[9] = 0b0010;  // and high bits 2: 5 + 32 - 32
  block.qs[16] = 0b11;       // element 16
  block.hmask[17] = 0b1;     // element 17
  const auto values = values_of(DType::kQ3_K, block);
  EXPECT_EQ(values[16], 5.0f * (3 - 4));
  EXPECT_EQ(values[17], 5.0f * (0 + 4 - 4));
  EXPECT_EQ(values[18], 5.0f * -4);
  EXPECT_EQ(values[0], -32.0f * -4);
}

TEST(Dequantise, Q4_KAndQ5_K) {
  BlockQ4_K block{};
  block.d = float_to_f16(0.5f);
  block.dmin = float_to_f16(2.0f);
  block.scales[1] = 0b01'000011;  // scale of group 1: 3; high bits of group 5's scale: 1
  block.scales[5] = 0b10'000001;  // minimum of group 1: 1; high bits of group 5's: 2
  block.scales[9] = 0x42;         // low bits of group 5: scale 2, minimum 4
  block.qs[7] = 0xa0;             // element 39
  block.qs[64 + 7] = 0xb0;        // element 2 * 64 + 32 + 7
  const auto values = values_of(DType::kQ4_K, block);
  EXPECT_EQ(values[39], 0.5f * 3 * 10 - 2.0f * 1);
  EXPECT_EQ(values[167], 0.5f * (16 + 2) * 11 - 2.0f * (32 + 4));

  BlockQ5_K wider{};
  wider.d = block.d;
  wider.dmin = block.dmin;
  std::memcpy(wider.scales, block.scales, sizeof(block.scales));
  std::memcpy(wider.qs, block.qs, sizeof(block.qs));
  wider.qh[7] = 1 << 5;  // element 5 * 32 + 7
  const auto wide = values_of(DType::kQ5_K, wider);
  EXPECT_EQ(wide[39], values[39]);
  EXPECT_EQ(wide[167], 0.5f * 18 * (16 + 11) - 2.0f * 36);
}

TEST(Dequantise, Q6_K) {
  BlockQ6_K block{};
  block.d = float_to_f16(0.125f);
  block.scales[13] = -7;         // elements 208..223: 80..95 of the second half
  block.ql[64 + 20] = 0x90;      // high nibble: element 64 + 20 of that half
  block.qh[32 + 20] = 0b110000;  // bits 4 and 5: the same element
  EXPECT_EQ(values_of(DType::kQ6_K, block)[128 + 84], 0.125f * -7 * (9 + 48 - 32));
}

TEST(Dequantise, Iq4) {
  BlockIQ4_NL block{.d = float_to_f16(0.5f), .qs = {0xf0}};
  const auto values = values_of(DType::kIQ4_NL, block);
  EXPECT_EQ(values[0], 0.5f * -127);
  EXPECT_EQ(values[16], 0.5f * 113);

  BlockIQ4_XS wide{};
  wide.d = float_to_f16(0.5f);
  wide.scales_h = 0b11 << 10;
  wide.scales_l[2] = 0x10;
  wide.qs[5 * 16 + 2] = 0xe0;  // group 5: scale 1 + 48 - 32
  EXPECT_EQ(values_of(DType::kIQ4_XS, wide)[5 * 32 + 18], 0.5f * 17 * 89);
}

TEST(Dequantise, Ternary) {
  BlockTQ2_0 two{};
  two.d = float_to_f16(0.5f);
  two.qs[32 + 3] = 0b10'01'00'11;
  const auto values = values_of(DType::kTQ2_0, two);
  EXPECT_THAT((std::vector{values[131], values[163], values[195], values[227]}),
              testing::ElementsAre(1.0f, -0.5f, 0.0f, 0.5f));

  BlockTQ1_0 base_3{};
  base_3.d = float_to_f16(0.5f);
  const int digits = 2 * 81 + 0 * 27 + 1 * 9 + 2 * 3 + 1;
  base_3.qs[4] = static_cast<uint8_t>((digits * 256 + 242) / 243);
  base_3.qs[33] = base_3.qs[4];
  base_3.qh[2] = base_3.qs[4];
  const auto trits = values_of(DType::kTQ1_0, base_3);
  for (const int first : {4, 161}) {
    const int step = first == 4 ? 32 : 16;
    std::vector<float> run;
    for (int n = 0; n < 5; ++n) run.push_back(trits[static_cast<size_t>(first + step * n)]);
    EXPECT_THAT(run, testing::ElementsAre(0.5f, -0.5f, 0.0f, 0.5f, 0.0f));
  }
  EXPECT_THAT((std::vector{trits[242], trits[246], trits[250], trits[254]}),
              testing::ElementsAre(0.5f, -0.5f, 0.0f, 0.5f));
}

TEST(Dequantise, Q2_0) {
  BlockQ2_0 block{};
  block.d = float_to_f16(0.5f);
  block.qs[15] = 0b11'10'01'00;
  const auto values = values_of(DType::kQ2_0, block);
  EXPECT_THAT((std::vector(values.end() - 4, values.end())),
              testing::ElementsAre(-0.5f, 0.0f, 0.5f, 1.0f));
  BlockQ2_0_128 wide{};
  wide.d = float_to_f16(0.5f);
  wide.qs[31] = 0b11'10'01'00;
  const auto wide_values = values_of(DType::kQ2_0_128, wide);
  EXPECT_THAT((std::vector(wide_values.end() - 4, wide_values.end())),
              testing::ElementsAre(-0.5f, 0.0f, 0.5f, 1.0f));
}

}  // namespace
}  // namespace neuros::kernels
