/// Attention of encoders, of every table against the reference.

#include "base/float16.h"
#include "kernels/testing/bench.h"
#include "kernels/testing/every_table.h"
#include "kernels/testing/halves.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using testing::Bench;
using testing::Halves;
using testing::Random;

class EncoderAttentionOfEveryTable : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }
  Random random_;
};

INSTANTIATE_TEST_SUITE_P(Tables, EncoderAttentionOfEveryTable, testing::every_table(),
                         testing::table_name);

struct Shape {
  std::vector<int32_t> lengths;  ///< of the items
  int32_t heads = 1;
  int32_t head_dim = 64;
  int64_t gap = 0;        ///< elements between rows
  int32_t first_row = 0;  ///< rows before the first item
  float size = 1.0f;      ///< of queries
};

/// Queries, keys and values as one product leaves them, side by side in rows.
struct Batch {
  Shape shape;
  std::vector<int32_t> starts;
  Halves qkv;

  Batch(Random& random, const Shape& of) : shape(of), starts{of.first_row} {
    for (const int32_t length : of.lengths) starts.push_back(starts.back() + length);
    qkv = Halves(int64_t{starts.back()} * stride());
    for (int64_t row = of.first_row; row < starts.back(); ++row) {
      for (int64_t i = 0; i < 3 * width(); ++i) {
        qkv.set(row * stride() + i, random.normal(i < width() ? of.size : 1.0f));
      }
    }
  }
  int64_t width() const { return int64_t{shape.heads} * shape.head_dim; }
  int64_t stride() const { return 3 * width() + shape.gap; }
  int64_t out_stride() const { return width() + shape.gap; }

  Halves run(const OpTable& table, std::span<const int32_t> items, int workers) const {
    Bench bench(table, {.tokens = 16,
                        .sequences = 1,
                        .cols = 64,
                        .rows = 64,
                        .heads = shape.heads,
                        .head_dim = shape.head_dim,
                        .context = 64,
                        .workers = workers});
    Halves out(starts.back() * out_stride());
    table.encoder_attention(bench.context(),
                            {.q = qkv.data(),
                             .k = qkv.data() + width(),
                             .v = qkv.data() + 2 * width(),
                             .out = out.data(),
                             .q_stride = stride(),
                             .k_stride = stride(),
                             .v_stride = stride(),
                             .out_stride = out_stride(),
                             .starts = items,
                             .heads = shape.heads,
                             .head_dim = shape.head_dim,
                             .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim))});
    EXPECT_TRUE(out.guards_are_intact());
    return out;
  }
};

constexpr double kUnit = 0x1p-11;  // roundoff of f16

/// Both results are rounded to f16, so that they may be neighbours, two units of themselves apart.
/// A GPU rounds the weights, too: each is off by at most a unit of itself, so that a mean of values
/// of size 1 is off by at most a few units, and by one of its own size where one weight is most of
/// all.
double tolerance(const OpTable& table, double reference) {
  const double rounding = 1e-4 + 2.1 * kUnit * std::fabs(reference);
  return table.name == "cuda" ? rounding + kUnit * (2 + std::fabs(reference)) : rounding;
}

/// What is in the gaps of rows, and in rows of no item, is as it was.
void expect_agreement(const OpTable& table, const Batch& batch) {
  const Halves reference = batch.run(ref_ops(), batch.starts, 2);
  const Halves out = batch.run(table, batch.starts, 2);
  for (int64_t i = 0; i < out.size(); ++i) {
    const int64_t row = i / batch.out_stride(), column = i % batch.out_stride();
    if (row < batch.shape.first_row || column >= batch.width()) {
      ASSERT_TRUE(out.is_untouched(i)) << "row " << row << ", column " << column;
      continue;
    }
    ASSERT_NEAR(out[i], reference[i], tolerance(table, static_cast<double>(reference[i])))
        << "row " << row << " of " << batch.starts.back() << ", column " << column << ", head_dim "
        << batch.shape.head_dim << ", gap " << batch.shape.gap;
  }
}

bool same_bits(const Halves& a, const Halves& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * 2) == 0;
}

TEST_P(EncoderAttentionOfEveryTable, AgreesForAnyLength) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t rows : {1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 193, 257, 400}) {
    expect_agreement(table(), Batch(random_, {.lengths = {rows}, .heads = 2}));
    if (HasFatalFailure()) return;
  }
}

TEST_P(EncoderAttentionOfEveryTable, AgreesForThirtySecondsOfSpeech) {
  SCOPED_TRACE(random_.trace());
  expect_agreement(table(), Batch(random_, {.lengths = {1500}}));
}

TEST_P(EncoderAttentionOfEveryTable, AgreesForItemsOfDifferentLengths) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t gap : {0, 8, 64, 3}) {
    Shape shape{.lengths = {}, .heads = static_cast<int32_t>(random_.between(1, 3)), .gap = gap};
    for (int item = 0; item < 6; ++item) {
      shape.lengths.push_back(static_cast<int32_t>(random_.between(0, random_.coin() ? 300 : 20)));
    }
    shape.lengths.push_back(1);
    shape.first_row = static_cast<int32_t>(random_.between(0, 5));
    expect_agreement(table(), Batch(random_, shape));
    if (HasFatalFailure()) return;
  }
}

TEST_P(EncoderAttentionOfEveryTable, AgreesForAnyHead) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t head_dim : {1, 16, 20, 32, 80, 96, 128, 256}) {
    expect_agreement(table(),
                     Batch(random_, {.lengths = {70, 3}, .heads = 3, .head_dim = head_dim}));
    if (HasFatalFailure()) return;
  }
}

/// More than one launch takes.
TEST_P(EncoderAttentionOfEveryTable, AgreesForManyItems) {
  SCOPED_TRACE(random_.trace());
  Shape shape;
  for (int item = 0; item < 300; ++item) {
    shape.lengths.push_back(static_cast<int32_t>(random_.between(0, 9)));
  }
  expect_agreement(table(), Batch(random_, shape));
}

/// Scores so far apart that most weights vanish, and that grow from tile to tile.
TEST_P(EncoderAttentionOfEveryTable, AgreesForLargeScores) {
  SCOPED_TRACE(random_.trace());
  for (const float size : {10.0f, 100.0f}) {
    Batch batch(random_, {.lengths = {500}, .heads = 1, .size = size});
    for (int64_t row = 0; row < 500; ++row) {
      const float grown = 0.2f + static_cast<float>(row) / 400;
      for (int64_t i = 64; i < 128; ++i) {
        const int64_t at = row * batch.stride() + i;
        batch.qkv.set(at, batch.qkv[at] * grown);
      }
    }
    expect_agreement(table(), batch);
    if (HasFatalFailure()) return;
  }
}

/// An item has the same bits alone and in a batch, whatever its neighbours hold.
TEST_P(EncoderAttentionOfEveryTable, ItemsDoNotDependOnTheirBatch) {
  SCOPED_TRACE(random_.trace());
  Batch batch(random_, {.lengths = {77, 200, 130, 1}, .heads = 2});
  const Halves whole = batch.run(table(), batch.starts, 1);
  EXPECT_TRUE(same_bits(whole, batch.run(table(), batch.starts, 3)));
  for (size_t item = 0; item < 4; ++item) {
    const int32_t first = batch.starts[item], end = batch.starts[item + 1];
    Batch other = batch;
    for (int64_t i = 0; i < other.qkv.size(); ++i) {
      const int64_t row = i / other.stride();
      if (row >= first && row < end) continue;
      other.qkv.set(i, random_.coin() ? std::numeric_limits<float>::infinity()
                                      : std::numeric_limits<float>::quiet_NaN());
    }
    const Halves poisoned = other.run(table(), other.starts, 2);
    const Halves alone = batch.run(table(), std::span(batch.starts).subspan(item, 2), 1);
    const auto offset = first * batch.out_stride();
    const auto bytes = static_cast<size_t>((end - first) * batch.out_stride()) * 2;
    EXPECT_EQ(std::memcmp(whole.data() + offset, alone.data() + offset, bytes), 0) << item;
    EXPECT_EQ(std::memcmp(whole.data() + offset, poisoned.data() + offset, bytes), 0) << item;
  }
}

}  // namespace
}  // namespace neuros::kernels
