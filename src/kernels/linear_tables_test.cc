/// Matrix products of every table, for every weight type, against the reference.

#include "kernels/quantise.h"
#include "kernels/testing/bench.h"
#include "kernels/testing/cuda_table.h"
#include "kernels/testing/every_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using base::DType;
using testing::Bench;
using testing::FileMatrix;
using testing::Floats;
using testing::PackedWeight;
using testing::Random;

struct Product {
  FileMatrix weight;
  int64_t tokens = 0;
  Floats x;
  Floats bias;      // empty: none
  Floats residual;  // empty: none

  OpLimits limits(int workers) const {
    return {.tokens = tokens,
            .sequences = 1,
            .cols = weight.cols,
            .rows = weight.rows,
            .heads = 1,
            .head_dim = 16,
            .context = 16,
            .workers = workers};
  }
};

Product random_product(Random& random, DType dtype, int64_t rows, int64_t cols, int64_t tokens) {
  Product out{FileMatrix::random(random, dtype, rows, cols), tokens,
              Floats::normal(random, tokens * cols), Floats(0), Floats(0)};
  if (random.coin()) out.bias = Floats::normal(random, rows);
  if (random.coin()) out.residual = Floats::normal(random, tokens * rows);
  return out;
}

/// Activations that eight bits hold exactly: whole numbers up to 127, which appears in every 32.
void fill_with_whole_numbers(Random& random, Product& product) {
  for (int64_t i = 0; i < product.x.size(); ++i) {
    const auto whole = static_cast<float>(random.between(-127, 127));
    product.x[i] = i % 32 == 9 ? 127.0f : whole;
  }
}

/// Tokens [first, first + count) of the product, the first `decode` of them as decode steps.
struct Rows {
  int64_t first = 0, count = 0, decode = 0;
};

/// Some tokens of the product, alone.
Floats multiply(const OpTable& table, const PackedWeight& packed, const Product& product,
                int workers, Rows part, const KernelChoices* choices = nullptr) {
  Bench bench(table, product.limits(workers));
  const int64_t rows = product.weight.rows;
  Floats y(part.count * rows);
  LinearArgs args{.weight = packed.matrix(),
                  .x = product.x.data() + part.first * product.weight.cols,
                  .y = y.data(),
                  .tokens = part.count,
                  .decode_tokens = part.decode};
  if (product.bias.size() > 0) args.bias = product.bias.data();
  if (product.residual.size() > 0) {  // in place, as models add to the residual stream
    std::copy_n(product.residual.data() + part.first * rows, part.count * rows, y.data());
    args.residual = y.data();
  }
  OpContext context = bench.context();
  context.choices = choices;
  table.linear_for(product.weight.dtype).run(context, args);
  EXPECT_TRUE(y.guards_are_intact());
  return y;
}

Floats multiply(const OpTable& table, const PackedWeight& packed, const Product& product,
                int64_t decode = 0) {
  return multiply(table, packed, product, 1, {0, product.tokens, decode});
}

Floats expected(const Product& product) {
  return multiply(ref_ops(), PackedWeight(ref_ops(), product.weight), product);
}

void expect_close(const Product& product, const Floats& y, const Floats& reference,
                  bool activations_are_exact) {
  const int64_t rows = product.weight.rows;
  for (int64_t row = 0; row < rows; ++row) {
    const double length = product.weight.row_length(row);
    for (int64_t token = 0; token < product.tokens; ++token) {
      const double bound = activations_are_exact
                               ? 127 * (1e-5 * length * std::sqrt(product.weight.cols) + 1e-6)
                               : testing::sum_tolerance(product.weight.dtype, length);
      ASSERT_NEAR(y[token * rows + row], reference[token * rows + row], bound)
          << "row " << row << " of " << rows << ", token " << token << " of " << product.tokens
          << ", cols " << product.weight.cols;
    }
  }
}

struct Case {
  const OpTable* table;
  DType dtype;
};

void PrintTo(const Case& value, std::ostream* out) {
  *out << value.table->name << " " << base::name(value.dtype);
}

class EveryLinear : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!kernel()) GTEST_SKIP() << table().name << " does not multiply " << base::name(dtype());
  }
  const OpTable& table() const { return *GetParam().table; }
  DType dtype() const { return GetParam().dtype; }
  const LinearKernel& kernel() const { return table().linear_for(dtype()); }

  Random random_;
};

std::vector<Case> all_cases() {
  std::vector<Case> out;
  for (const OpTable* table : testing::tables()) {
    for (int i = 0; i < base::kWeightDTypeCount; ++i) out.push_back({table, static_cast<DType>(i)});
  }
  return out;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  return testing::as_test_name(info.param.table->name + "_" +
                               std::string(base::name(info.param.dtype)));
}

INSTANTIATE_TEST_SUITE_P(Tables, EveryLinear, ::testing::ValuesIn(all_cases()), case_name);

TEST_P(EveryLinear, AgreesWithTheReference) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 64}) {
    const int64_t rows = random_.between(1, 33);
    const int64_t cols = testing::random_cols(random_, dtype(), random_.coin() ? 67 : 800);
    const Product product = random_product(random_, dtype(), rows, cols, tokens);
    const Floats y = multiply(table(), PackedWeight(table(), product.weight), product);
    expect_close(product, y, expected(product), false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(EveryLinear, MultipliesManyRows) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t tokens : {1, 6, 33}) {
    const int64_t cols = testing::random_cols(random_, dtype(), 600);
    const Product product =
        random_product(random_, dtype(), random_.between(150, 420), cols, tokens);
    const Floats y = multiply(table(), PackedWeight(table(), product.weight), product);
    expect_close(product, y, expected(product), false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(EveryLinear, RowsDoNotDependOnTheirBatch) {
  SCOPED_TRACE(random_.trace());
  const int64_t cols = testing::random_cols(random_, dtype(), 600);
  const Product product = random_product(random_, dtype(), random_.between(1, 70), cols, 37);
  const PackedWeight packed(table(), product.weight);
  const Floats whole = multiply(table(), packed, product);
  const int64_t rows = product.weight.rows;
  for (int64_t first = 0; first < product.tokens;) {
    const int64_t count = std::min(random_.between(1, 9), product.tokens - first);
    const Floats part = multiply(table(), packed, product, 1, {first, count});
    ASSERT_TRUE(testing::same_bits(part.span(), {whole.data() + first * rows, part.span().size()}))
        << "tokens " << first << " to " << first + count << ", cols " << cols;
    first += count;
  }
}

TEST_P(EveryLinear, DecodeStepsAgreeWithTheReference) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t tokens : {1, 2, 3, 8, 9, 16, 31, 33, 70, 270}) {
    const int64_t cols_max = tokens > 100 || random_.coin() ? 67 : 2400;
    const int64_t cols = testing::random_cols(random_, dtype(), cols_max);
    const Product product = random_product(random_, dtype(), random_.between(1, 100), cols, tokens);
    const int64_t decode = random_.coin() ? tokens : random_.between(1, tokens);
    const Floats y = multiply(table(), PackedWeight(table(), product.weight), product, decode);
    expect_close(product, y, expected(product), false);
    if (HasFatalFailure()) return;
  }
}

/// The ways to run a launch differ in time, in nothing else.
TEST_P(EveryLinear, ItsBitsDoNotDependOnChoices) {
  SCOPED_TRACE(random_.trace());
  if (table().choice_values == nullptr) GTEST_SKIP() << table().name << " has no choices";
  for (const ChoiceOp op : {ChoiceOp::kPrompt, ChoiceOp::kDecodeMany}) {
    const int64_t tokens = op == ChoiceOp::kPrompt ? random_.between(500, 700) : 50;
    const int64_t cols = testing::random_cols(random_, dtype(), 600);
    const Product product =
        random_product(random_, dtype(), random_.between(2000, 3000), cols, tokens);
    const PackedWeight packed(table(), product.weight);
    const Rows all{0, tokens, op == ChoiceOp::kPrompt ? 0 : tokens};
    const Floats estimated = multiply(table(), packed, product, 1, all);
    ChoiceKey key{op, dtype(), product.weight.rows, product.weight.cols, tokens};
    const auto values = table().choice_values(testing::test_gpu()->kind(), key);
    key.tokens = token_bucket(op, tokens);
    for (const int32_t value : values) {
      const KernelChoices choices({{key, value}});
      const Floats chosen = multiply(table(), packed, product, 1, all, &choices);
      ASSERT_TRUE(testing::same_bits(chosen.span(), estimated.span()))
          << name(op) << " " << value << ", rows " << product.weight.rows << ", cols " << cols
          << ", tokens " << tokens;
    }
  }
}

/// What is left of the error is the kernel's own. As decode steps: a table may multiply the weights
/// of prompt rows rounded to 16 bits.
TEST_P(EveryLinear, IsExactWhereEightBitsHoldTheActivations) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t tokens : {1, 2, 4, 5, 12, 16, 19, 40}) {
    const int64_t cols = testing::random_cols(random_, dtype(), random_.coin() ? 800 : 2400);
    Product product = random_product(random_, dtype(), random_.between(1, 40), cols, tokens);
    fill_with_whole_numbers(random_, product);
    const Floats y = multiply(table(), PackedWeight(table(), product.weight), product, tokens);
    expect_close(product, y, expected(product), true);
    if (HasFatalFailure()) return;
  }
}

/// Batches of decode steps whose sizes a table may treat differently, anywhere among the tokens of
/// a product: each row as `alone` has it, all by themselves.
void expect_rows_as_alone(const OpTable& table, const Product& product, Random& random,
                          std::initializer_list<int64_t> counts) {
  const PackedWeight packed(table, product.weight);
  const int64_t rows = product.weight.rows;
  std::vector<float> alone;
  for (int64_t token = 0; token < product.tokens; ++token) {
    const Floats row = multiply(table, packed, product, 1, {token, 1, 1});
    alone.insert(alone.end(), row.data(), row.data() + rows);
  }
  for (const int64_t count : counts) {
    const int64_t first = random.between(0, product.tokens - count);
    const Floats batch = multiply(table, packed, product, 1, {first, count, count});
    ASSERT_TRUE(
        testing::same_bits(batch.span(), {alone.data() + first * rows, batch.span().size()}))
        << "tokens " << first << " to " << first + count << ", rows " << rows << ", cols "
        << product.weight.cols;
  }
}

TEST_P(EveryLinear, DecodeStepsDoNotDependOnTheirBatch) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t cols_max : {300, 2400, 7000}) {
    const int64_t cols = testing::random_cols(random_, dtype(), cols_max);
    const Product product = random_product(random_, dtype(), random_.between(1, 150), cols, 75);
    expect_rows_as_alone(table(), product, random_, {2, 5, 8, 9, 16, 33, 64, 65, 75});
    if (HasFatalFailure()) return;
  }
}

/// Of more rows than a GPU takes at a time.
TEST_P(EveryLinear, DecodeStepsOfManyRowsDoNotDependOnTheirBatch) {
  SCOPED_TRACE(random_.trace());
  const int64_t cols = testing::random_cols(random_, dtype(), 160);
  const Product product = random_product(random_, dtype(), random_.between(4500, 9000), cols, 17);
  expect_rows_as_alone(table(), product, random_, {3, 9, 16, 17});
}

/// The bits of a row depend on whether it is a decode step, and on nothing else.
TEST_P(EveryLinear, DecodeStepsAndPromptRowsShareABatch) {
  SCOPED_TRACE(random_.trace());
  const int64_t cols = testing::random_cols(random_, dtype(), 600);
  const Product product = random_product(random_, dtype(), random_.between(1, 70), cols, 21);
  const PackedWeight packed(table(), product.weight);
  const Floats steps = multiply(table(), packed, product, product.tokens);
  const Floats prompt = multiply(table(), packed, product, 0);
  for (const int64_t decode : {1, 8, 20}) {
    const Floats mixed = multiply(table(), packed, product, decode);
    const auto split = static_cast<size_t>(decode * product.weight.rows);
    EXPECT_TRUE(testing::same_bits(mixed.span().first(split), steps.span().first(split)));
    EXPECT_TRUE(testing::same_bits(mixed.span().subspan(split), prompt.span().subspan(split)));
  }
}

/// Test buffers start on no vector boundary; these activations do.
TEST_P(EveryLinear, AlignmentDoesNotChangeTheResult) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t tokens : {1, 2, 11}) {
    const int64_t cols = testing::random_cols(random_, dtype(), 6000);
    const Product product = random_product(random_, dtype(), random_.between(1, 40), cols, tokens);
    const PackedWeight packed(table(), product.weight);
    testing::AlignedBytes x(product.x.size() * static_cast<int64_t>(sizeof(float)));
    std::memcpy(x.data(), product.x.data(), x.span().size());
    for (const int64_t decode : {int64_t{0}, tokens}) {
      Product plain = product;
      plain.bias = Floats(0);
      plain.residual = Floats(0);
      const Floats expected = multiply(table(), packed, plain, decode);
      Bench bench(table(), product.limits(1));
      Floats y(tokens * product.weight.rows);
      kernel().run(bench.context(), {.weight = packed.matrix(),
                                     .x = reinterpret_cast<const float*>(x.data()),
                                     .y = y.data(),
                                     .tokens = tokens,
                                     .decode_tokens = decode});
      EXPECT_TRUE(testing::same_bits(y.span(), expected.span())) << tokens << " tokens";
    }
  }
}

TEST_P(EveryLinear, WorkersDoNotChangeTheResult) {
  SCOPED_TRACE(random_.trace());
  const int64_t cols = testing::random_cols(random_, dtype(), 600);
  const Product product =
      random_product(random_, dtype(), random_.between(1, 200), cols, random_.between(1, 40));
  const PackedWeight packed(table(), product.weight);
  const Floats alone = multiply(table(), packed, product);
  for (const int workers : {2, 3}) {
    const Floats shared = multiply(table(), packed, product, workers, {0, product.tokens});
    EXPECT_TRUE(testing::same_bits(alone.span(), shared.span())) << workers << " workers";
  }
}

TEST_P(EveryLinear, UnpacksWhatTheFileSays) {
  SCOPED_TRACE(random_.trace());
  for (int repeat = 0; repeat < 4; ++repeat) {
    const int64_t cols = testing::random_cols(random_, dtype(), 800);
    const FileMatrix file = FileMatrix::random(random_, dtype(), random_.between(1, 70), cols);
    const PackedWeight packed(table(), file);
    for (int64_t row = 0; row < file.rows; ++row) {
      Floats out(cols);
      kernel().unpack_row(packed.matrix(), row, out.data());
      ASSERT_TRUE(out.guards_are_intact());
      ASSERT_TRUE(testing::same_bits(out.span(), file.row(row))) << "row " << row;
    }
  }
}

}  // namespace
}  // namespace neuros::kernels
