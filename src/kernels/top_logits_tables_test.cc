/// The greatest logits of rows, of every table against the reference.

#include "kernels/op_table.h"
#include "kernels/testing/bench.h"
#include "kernels/testing/every_table.h"

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using testing::AlignedBytes;
using testing::Bench;
using testing::Floats;
using testing::Random;

class TopLogitsOfEveryTable : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }
  Random random_;
};

/// Where the host samples, from all logits, a table has no such op.
std::vector<const OpTable*> tables_with_top_logits() {
  std::vector<const OpTable*> out;
  for (const OpTable* table : testing::tables()) {
    if (table->top_logits != nullptr) out.push_back(table);
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Tables, TopLogitsOfEveryTable,
                         ::testing::ValuesIn(tables_with_top_logits()), testing::table_name);

struct Rows {
  const Floats& logits;  ///< [rows, vocabulary]
  int64_t vocabulary;
  int64_t first = 0, count = 1;
};

std::vector<TopLogits> run(const OpTable& table, const Rows& rows) {
  Bench bench(table, {.tokens = rows.count,
                      .sequences = 4,
                      .cols = 64,
                      .rows = rows.vocabulary,
                      .heads = 1,
                      .head_dim = 16,
                      .context = 200,
                      .logit_rows = rows.count,
                      .workers = 2});
  AlignedBytes out(rows.count * static_cast<int64_t>(sizeof(TopLogits)));
  auto* top = reinterpret_cast<TopLogits*>(out.data());
  table.top_logits(bench.context(), {.logits = rows.logits.data() + rows.first * rows.vocabulary,
                                     .rows = rows.count,
                                     .vocabulary = rows.vocabulary,
                                     .out = top});
  return {top, top + rows.count};
}

void expect_same(const TopLogits& reference, const TopLogits& out) {
  ASSERT_EQ(out.vocabulary, reference.vocabulary);
  for (size_t i = 0; i < reference.candidates().size(); ++i) {
    ASSERT_EQ(out.best[i].id, reference.best[i].id) << "place " << i;
    ASSERT_EQ(out.best[i].logit, reference.best[i].logit) << "place " << i;
  }
  ASSERT_NEAR(out.sum, reference.sum, 1e-5 * static_cast<double>(reference.sum));
}

void expect_agreement(const OpTable& table, const Floats& logits, int64_t vocabulary) {
  const int64_t count = logits.size() / vocabulary;
  const auto reference = run(ref_ops(), {logits, vocabulary, 0, count});
  const auto out = run(table, {logits, vocabulary, 0, count});
  for (size_t row = 0; row < out.size(); ++row) {
    SCOPED_TRACE("row " + std::to_string(row) + " of " + std::to_string(vocabulary));
    expect_same(reference[row], out[row]);
    if (::testing::Test::HasFatalFailure()) return;
  }
  const auto last = run(table, {logits, vocabulary, count - 1, 1});
  EXPECT_EQ(last[0].sum, out.back().sum) << "a row alone has the same bits";
}

TEST_P(TopLogitsOfEveryTable, TopLogitsAgree) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t vocabulary : {1, 2, 90, 127, 128, 129, 511, 512, 513, 4097, 32000, 151936}) {
    for (const int64_t rows : {1, 3}) {
      expect_agreement(table(), Floats::normal(random_, rows * vocabulary, 4.0f), vocabulary);
    }
  }
  for (int repeat = 0; repeat < 20; ++repeat) {
    const int64_t vocabulary = random_.between(1, random_.coin() ? 600 : 20000);
    expect_agreement(table(), Floats::normal(random_, 2 * vocabulary, 0.01f), vocabulary);
  }
}

/// What logits of index `i` of `vocabulary` a row has.
using Shape = std::function<float(int64_t i, int64_t vocabulary)>;

TEST_P(TopLogitsOfEveryTable, TopLogitsAgreeOnRowsThatAreHardToSplit) {
  SCOPED_TRACE(random_.trace());
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<Shape> shapes{
      [](int64_t, int64_t) { return -3.5f; },
      [](int64_t i, int64_t) { return i % 2 == 0 ? 0.0f : -0.0f; },
      [](int64_t i, int64_t) { return static_cast<float>(i) * 1e-3f; },
      [](int64_t i, int64_t) { return static_cast<float>(-i); },
      [&](int64_t, int64_t) { return std::round(random_.normal(2.0f)); },
      [&](int64_t i, int64_t) { return random_.normal(1.0f) + (i < 700 ? 20.0f : 0.0f); },
      [&](int64_t i, int64_t v) { return random_.normal(1.0f) + (i / 8 % (v / 128) == 5 ? 9 : 0); },
      [&](int64_t i, int64_t) { return i % 3 == 0 ? random_.normal(1.0f) : -infinity; },
      [&](int64_t i, int64_t v) { return i == v - 1 ? 80.0f : random_.normal(1e-30f); },
      [&](int64_t, int64_t) { return random_.normal(1e30f); }};
  for (size_t shape = 0; shape < shapes.size(); ++shape) {
    SCOPED_TRACE("shape " + std::to_string(shape));
    for (const int64_t vocabulary : {1000, 32000, 128256}) {
      Floats logits(vocabulary);
      for (int64_t i = 0; i < vocabulary; ++i) logits[i] = shapes[shape](i, vocabulary);
      expect_agreement(table(), logits, vocabulary);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace neuros::kernels
