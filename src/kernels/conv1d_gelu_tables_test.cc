/// The convolution that speech encoders start with, of every table against the reference.

#include "kernels/testing/bench.h"
#include "kernels/testing/every_table.h"
#include "kernels/testing/halves.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using base::DType;
using testing::Bench;
using testing::FileMatrix;
using testing::Floats;
using testing::Halves;
using testing::PackedWeight;
using testing::Random;

class Conv1dGeluOfEveryTable : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }
  Random random_;
};

INSTANTIATE_TEST_SUITE_P(Tables, Conv1dGeluOfEveryTable, testing::every_table(),
                         testing::table_name);

struct Shape {
  DType dtype = DType::kF16;
  int32_t items = 1;
  int32_t frames = 20;
  int32_t channels = 128;
  int32_t channels_out = 128;
  int32_t taps = 3;
  int32_t stride = 1;
  int32_t padding = 1;
  bool extras = true;  ///< bias and positions

  std::string text() const {
    return std::to_string(items) + " x " + std::to_string(frames) + " x " +
           std::to_string(channels) + " to " + std::to_string(channels_out) + ", taps " +
           std::to_string(taps) + ", stride " + std::to_string(stride) + ", padding " +
           std::to_string(padding);
  }
};

struct Result {
  Halves y;
  Floats mean, inverse_deviation;
};

struct Convolution {
  FileMatrix weight;
  Floats bias;
  Halves x, positions;
  Conv1dGeluArgs args;  ///< all but the results and the packed weight

  Convolution(Random& random, const Shape& shape)
      : weight(FileMatrix::random(random, shape.dtype, shape.channels_out,
                                  int64_t{shape.taps} * shape.channels)),
        bias(Floats::normal(random, shape.channels_out)),
        x(Halves::normal(random, int64_t{shape.items} * shape.frames * shape.channels)) {
    args = {.weight = {},
            .x = x.data(),
            .items = shape.items,
            .frames = shape.frames,
            .channels = shape.channels,
            .taps = shape.taps,
            .stride = shape.stride,
            .padding = shape.padding,
            .epsilon = 1e-3f};
    positions = Halves::normal(random, int64_t{args.frames_out()} * shape.channels_out);
    if (shape.extras) args.bias = bias.data(), args.positions = positions.data();
  }

  Result run(const OpTable& table, Conv1dGeluArgs part, int workers) const {
    Bench bench(table, {.tokens = 32,
                        .sequences = 1,
                        .cols = weight.cols,
                        .rows = weight.rows,
                        .heads = 1,
                        .head_dim = 64,
                        .context = 64,
                        .workers = workers});
    const PackedWeight packed(table, weight);
    Result out{Halves(part.rows() * weight.rows), Floats(part.rows()), Floats(part.rows())};
    part.weight = packed.matrix();
    part.y = out.y.data();
    part.mean = out.mean.data();
    part.inverse_deviation = out.inverse_deviation.data();
    table.conv1d_gelu(bench.context(), part);
    EXPECT_TRUE(out.y.guards_are_intact() && out.mean.guards_are_intact() &&
                out.inverse_deviation.guards_are_intact());
    return out;
  }
};

/// f16 times f16 is exact in a GPU's kernels and sums are floats; other tables round x as they do
/// in products. The slope of GELU is at most 1.13. Both results are rounded to f16, so that they
/// may be neighbours.
double tolerance(const OpTable& table, const Convolution& convolution, int64_t channel,
                 double reference) {
  const bool exact = table.name == "cuda" && convolution.weight.dtype == DType::kF16;
  const double sum = exact ? 1e-5
                           : testing::sum_tolerance(convolution.weight.dtype,
                                                    convolution.weight.row_length(channel));
  return 1.13 * sum + 1.05 * 0x1p-10 * std::fabs(reference) + 1e-6;
}

/// The statistics are those of the rows as they were written.
void expect_statistics(const Convolution& convolution, const Result& out) {
  const int64_t cols = convolution.weight.rows;
  for (int64_t row = 0; row < out.mean.size(); ++row) {
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < cols; ++i) sum += out.y[row * cols + i];
    const double mean = sum / static_cast<double>(cols);
    for (int64_t i = 0; i < cols; ++i) squares += std::pow(out.y[row * cols + i] - mean, 2);
    const double inverse =
        1 / std::sqrt(squares / static_cast<double>(cols) + convolution.args.epsilon);
    ASSERT_NEAR(out.mean[row], mean, 1e-5) << "row " << row;
    ASSERT_NEAR(out.inverse_deviation[row], inverse, 1e-5 * inverse) << "row " << row;
  }
}

void expect_agreement(const OpTable& table, Random& random, const Shape& shape) {
  SCOPED_TRACE(shape.text());
  const Convolution convolution(random, shape);
  const Result reference = convolution.run(ref_ops(), convolution.args, 2);
  const Result out = convolution.run(table, convolution.args, 2);
  for (int64_t i = 0; i < out.y.size(); ++i) {
    const int64_t channel = i % shape.channels_out;
    ASSERT_NEAR(out.y[i], reference.y[i],
                tolerance(table, convolution, channel, static_cast<double>(reference.y[i])))
        << "row " << i / shape.channels_out << ", channel " << channel;
  }
  expect_statistics(convolution, out);
}

TEST_P(Conv1dGeluOfEveryTable, AgreesForAnyLength) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t frames : {3, 15, 16, 17, 63, 64, 65, 95, 96, 97, 128, 193}) {
    for (const int32_t stride : {1, 2}) {
      expect_agreement(table(), random_,
                       {.items = 1 + frames % 3,
                        .frames = frames,
                        .channels = 64,
                        .stride = stride,
                        .extras = random_.coin()});
      if (HasFatalFailure()) return;
    }
  }
}

/// As wide as models have it: 128 mel channels to 1280, and some that divide into blocks otherwise.
TEST_P(Conv1dGeluOfEveryTable, AgreesForWideRows) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t channels_out : {1280, 384, 640, 64, 128}) {
    expect_agreement(table(), random_,
                     {.items = 2, .frames = 40, .channels = 128, .channels_out = channels_out});
    if (HasFatalFailure()) return;
  }
}

TEST_P(Conv1dGeluOfEveryTable, AgreesForAnyShape) {
  SCOPED_TRACE(random_.trace());
  for (int repeat = 0; repeat < 12; ++repeat) {
    const auto some = [&](int64_t low, int64_t high) {
      return static_cast<int32_t>(random_.between(low, high));
    };
    Shape shape{.dtype = random_.coin() ? DType::kF16 : DType::kBF16,
                .items = some(1, 3),
                .frames = some(5, 60),
                .channels = some(1, 90),
                .channels_out = some(1, 150),
                .taps = some(1, 5),
                .stride = some(1, 4),
                .padding = some(0, 3),
                .extras = random_.coin()};
    if (repeat % 3 == 0) shape.channels = 32, shape.dtype = DType::kQ8_0;
    expect_agreement(table(), random_, shape);
    if (HasFatalFailure()) return;
  }
}

/// An item has the same bits alone and in a batch.
TEST_P(Conv1dGeluOfEveryTable, ItemsDoNotDependOnTheirBatch) {
  SCOPED_TRACE(random_.trace());
  const Shape shape{.items = 3, .frames = 70, .channels = 64, .channels_out = 256};
  const Convolution convolution(random_, shape);
  const Result whole = convolution.run(table(), convolution.args, 1);
  for (int32_t item = 0; item < shape.items; ++item) {
    Conv1dGeluArgs part = convolution.args;
    part.items = 1;
    part.x += int64_t{item} * shape.frames * shape.channels;
    const Result alone = convolution.run(table(), part, 3);
    for (int64_t i = 0; i < alone.y.size(); ++i) {
      ASSERT_EQ(alone.y.data()[i], whole.y.data()[item * alone.y.size() + i]) << item << ", " << i;
    }
    for (int64_t row = 0; row < alone.mean.size(); ++row) {
      ASSERT_EQ(alone.mean[row], whole.mean[item * alone.mean.size() + row]);
      ASSERT_EQ(alone.inverse_deviation[row],
                whole.inverse_deviation[item * alone.mean.size() + row]);
    }
  }
}

}  // namespace
}  // namespace neuros::kernels
