/// The reference ops of encoders on numbers small enough to check by hand.

#include "base/float16.h"
#include "kernels/op_table.h"
#include "kernels/testing/bench.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using testing::Bench;
using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr OpLimits kLimits{
    .tokens = 4, .sequences = 2, .cols = 64, .rows = 64, .heads = 4, .head_dim = 16, .workers = 2};

std::vector<uint16_t> halves(const std::vector<float>& values) {
  std::vector<uint16_t> out(values.size());
  std::ranges::transform(values, out.begin(), base::float_to_f16);
  return out;
}
std::vector<float> floats(const std::vector<uint16_t>& values) {
  std::vector<float> out(values.size());
  std::ranges::transform(values, out.begin(), base::f16_to_float);
  return out;
}

/// Two items, of two rows and of one; scores of the first row of the first are log(3) and 0.
TEST(RefEncoder, RowsAttendToTheirItem) {
  Bench bench(ref_ops(), kLimits);
  const auto q = halves({1, 0, 0, 0, 5, 5}), k = halves({1, 0, 0, 1, 9, 9});
  const auto v = halves({4, 8, 0, 16, -1, 2});
  const std::vector<int32_t> starts{0, 2, 3};
  std::vector<uint16_t> out(6);
  ref_ops().encoder_attention(bench.context(), {.q = q.data(),
                                                .k = k.data(),
                                                .v = v.data(),
                                                .out = out.data(),
                                                .q_stride = 2,
                                                .k_stride = 2,
                                                .v_stride = 2,
                                                .out_stride = 2,
                                                .starts = starts,
                                                .heads = 1,
                                                .head_dim = 2,
                                                .scale = std::log(3.0f)});
  EXPECT_THAT(floats(out), ElementsAre(3, 10, 2, 12, -1, 2));
}

/// One channel in, two out; three taps of every second frame, zeros around the four there are.
TEST(RefEncoder, ConvolutionSumsTheTapsInsideTheItem) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> weight{1, 10, 100, 0, 0, 0}, bias{0, 0};
  const auto x = halves({1, 2, 3, 4}), positions = halves({0, 7, 0.5f, -7});
  std::vector<uint16_t> y(4);
  std::vector<float> mean(2), inverse(2);
  ref_ops().conv1d_gelu(
      bench.context(),
      {.weight = {base::DType::kF32, 2, 3, reinterpret_cast<const std::byte*>(weight.data())},
       .bias = bias.data(),
       .x = x.data(),
       .positions = positions.data(),
       .y = y.data(),
       .mean = mean.data(),
       .inverse_deviation = inverse.data(),
       .items = 1,
       .frames = 4,
       .channels = 1,
       .taps = 3,
       .stride = 2,
       .padding = 1,
       .epsilon = 0});
  // 10 * 1 + 100 * 2; 2 + 10 * 3 + 100 * 4 and a half.
  EXPECT_THAT(floats(y), ElementsAre(210, 7, 432.5f, -7));
  EXPECT_THAT(mean, ElementsAre(108.5f, 212.75f));
  EXPECT_THAT(inverse, ElementsAre(FloatNear(1 / 101.5f, 1e-7f), FloatNear(1 / 219.75f, 1e-7f)));
}

TEST(RefEncoder, GeluIsTheExactOne) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> weight{1};
  const auto x = halves({1, -1, 0});
  std::vector<uint16_t> y(3);
  std::vector<float> mean(3), inverse(3);
  ref_ops().conv1d_gelu(
      bench.context(),
      {.weight = {base::DType::kF32, 1, 1, reinterpret_cast<const std::byte*>(weight.data())},
       .x = x.data(),
       .y = y.data(),
       .mean = mean.data(),
       .inverse_deviation = inverse.data(),
       .items = 1,
       .frames = 3,
       .channels = 1,
       .taps = 1});
  EXPECT_THAT(floats(y), ElementsAre(FloatNear(0.841345f, 3e-4f), FloatNear(-0.158655f, 1e-4f), 0));
}

}  // namespace
}  // namespace neuros::kernels
