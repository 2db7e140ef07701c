/// Embedding, norm, rope table, feed-forward and head of every table against the reference.

#include "kernels/testing/bench.h"
#include "kernels/testing/every_table.h"
#include "kernels/testing/sequences.h"

#include <cmath>
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
using testing::same_bits;

OpLimits limits_of(int64_t tokens, int64_t cols, int64_t rows, int workers) {
  return {.tokens = tokens,
          .sequences = 4,
          .cols = cols,
          .rows = rows,
          .heads = 1,
          .head_dim = 16,
          .context = 200,
          .workers = workers};
}

class EveryTable : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }
  bool multiplies(DType dtype) const { return static_cast<bool>(table().linear_for(dtype)); }

  Random random_;
};

INSTANTIATE_TEST_SUITE_P(Tables, EveryTable, testing::every_table(), testing::table_name);

std::vector<DType> weight_types() {
  std::vector<DType> out;
  for (int i = 0; i < base::kWeightDTypeCount; ++i) out.push_back(static_cast<DType>(i));
  return out;
}

/// Row t of `part` has the bits of row first + t of `whole`.
bool is_part(const Floats& part, const Floats& whole, int64_t first, int64_t cols) {
  return same_bits(part.span(), whole.span().subspan(static_cast<size_t>(first * cols),
                                                     static_cast<size_t>(part.size())));
}

// --- embed ---

TEST_P(EveryTable, EmbedsExactly) {
  if (table().embed == nullptr) GTEST_SKIP() << "no embed";
  SCOPED_TRACE(random_.trace());
  for (const DType dtype : weight_types()) {
    if (!multiplies(dtype)) continue;
    const int64_t cols = testing::random_cols(random_, dtype, 300);
    const FileMatrix file = FileMatrix::random(random_, dtype, random_.between(1, 50), cols);
    const PackedWeight packed(table(), file);
    std::vector<int32_t> ids(static_cast<size_t>(random_.between(1, 20)));
    for (int32_t& id : ids) id = static_cast<int32_t>(random_.between(0, file.rows - 1));
    const float scale = random_.coin() ? 1.0f : 11.5f;
    const auto count = std::ssize(ids);
    for (const int workers : {1, 3}) {
      Bench bench(table(), limits_of(count, cols, file.rows, workers));
      Floats out(count * cols);
      table().embed(bench.context(),
                    {.table = packed.matrix(), .ids = ids, .out = out.data(), .scale = scale});
      ASSERT_TRUE(out.guards_are_intact());
      for (int64_t i = 0; i < count; ++i) {
        const std::vector<float> row = file.row(ids[static_cast<size_t>(i)]);
        for (int64_t c = 0; c < cols; ++c) {
          ASSERT_EQ(out[i * cols + c], row[static_cast<size_t>(c)] * scale) << base::name(dtype);
        }
      }
    }
  }
}

// --- rms_norm ---

struct Norm {
  Floats x, weight;
  int64_t tokens, cols;
  float epsilon;
};

Floats normed(const OpTable& table, Norm& norm, int workers, int64_t first, int64_t count) {
  Bench bench(table, limits_of(norm.tokens, norm.cols, 1, workers));
  Floats out(count * norm.cols);
  table.rms_norm(bench.context(), {norm.x.data() + first * norm.cols, norm.weight.data(),
                                   out.data(), count, norm.cols, norm.epsilon});
  EXPECT_TRUE(out.guards_are_intact());
  return out;
}

TEST_P(EveryTable, NormsAgree) {
  if (table().rms_norm == nullptr) GTEST_SKIP() << "no rms_norm";
  SCOPED_TRACE(random_.trace());
  for (int repeat = 0; repeat < 20; ++repeat) {
    const int64_t tokens = random_.between(1, 17);
    const int64_t cols = random_.between(1, random_.coin() ? 40 : 700);
    const float size = repeat % 4 == 0 ? 1e-3f : 3.0f;
    Norm norm{Floats::normal(random_, tokens * cols, size), Floats::normal(random_, cols), tokens,
              cols, random_.coin() ? 1e-5f : 1e-6f};
    const Floats reference = normed(ref_ops(), norm, 1, 0, tokens);
    const Floats out = normed(table(), norm, 1, 0, tokens);
    for (int64_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], reference[i], 1e-5 * std::fabs(reference[i]) + 1e-7) << "cols " << cols;
    }
    const int64_t first = random_.between(0, tokens - 1);
    EXPECT_TRUE(is_part(normed(table(), norm, 1, first, tokens - first), out, first, cols));
    EXPECT_TRUE(same_bits(out.span(), normed(table(), norm, 3, 0, tokens).span()));
  }
}

TEST_P(EveryTable, NormsInPlace) {
  if (table().rms_norm == nullptr) GTEST_SKIP() << "no rms_norm";
  SCOPED_TRACE(random_.trace());
  const int64_t tokens = 5, cols = random_.between(1, 300);
  Norm norm{Floats::normal(random_, tokens * cols), Floats::normal(random_, cols), tokens, cols,
            1e-5f};
  const Floats apart = normed(table(), norm, 1, 0, tokens);
  Bench bench(table(), limits_of(tokens, cols, 1, 2));
  table().rms_norm(bench.context(),
                   {norm.x.data(), norm.weight.data(), norm.x.data(), tokens, cols, norm.epsilon});
  EXPECT_TRUE(same_bits(norm.x.span(), apart.span()));
}

// --- rope_table ---

Floats rope_rows(const OpTable& table, std::span<const SequenceSlice> sequences, int64_t rows,
                 const Floats& frequencies, int workers) {
  OpLimits limits = limits_of(rows, 16, 16, workers);
  limits.context = 31000;
  Bench bench(table, limits);
  Floats out(rows * frequencies.size() * 2);
  table.rope_table(bench.context(), {sequences, frequencies.span(), 1.25f, out.data()});
  EXPECT_TRUE(out.guards_are_intact());
  return out;
}

TEST_P(EveryTable, RopeTablesAgree) {
  if (table().rope_table == nullptr) GTEST_SKIP() << "no rope_table";
  SCOPED_TRACE(random_.trace());
  for (int repeat = 0; repeat < 8; ++repeat) {
    const int64_t pairs = random_.between(1, 70);
    Floats frequencies(pairs);
    for (int64_t i = 0; i < pairs; ++i) {
      frequencies[i] = std::pow(10000.0f, -static_cast<float>(i) / static_cast<float>(pairs));
    }
    const int32_t far = random_.coin() ? 0 : 30000;
    const testing::Sequences sequences(random_, {{3, 0}, {1, 17 + far}, {20, 5}}, 32);
    const Floats reference = rope_rows(ref_ops(), sequences.slices(), 24, frequencies, 1);
    const Floats out = rope_rows(table(), sequences.slices(), 24, frequencies, 1);
    // A float holds an angle of 30000 radians to 0.001.
    const double bound = far == 0 ? 2e-5 : 3e-3;
    for (int64_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], reference[i], bound) << i;
    EXPECT_TRUE(
        same_bits(out.span(), rope_rows(table(), sequences.slices(), 24, frequencies, 3).span()));
    const SequenceSlice second{0, 1, 17 + far, sequences.slices()[1].pages};
    EXPECT_TRUE(is_part(rope_rows(table(), {&second, 1}, 1, frequencies, 1), out, 3, 2 * pairs));
  }
}

// --- gate_up ---

struct FeedForward {
  FileMatrix gate, up;
  int64_t tokens;
  Floats x, norm_weight;
};

FeedForward random_feed_forward(Random& random, DType gate, DType up, int64_t cols_max,
                                int64_t tokens) {
  const DType wider = base::info(gate).block_elements > base::info(up).block_elements ? gate : up;
  const int64_t cols = testing::random_cols(random, wider, cols_max);
  const int64_t ffn = random.between(1, 100);
  FeedForward out{FileMatrix::random(random, gate, ffn, cols),
                  FileMatrix::random(random, up, ffn, cols), tokens,
                  Floats::normal(random, tokens * cols, 3.0f), Floats::normal(random, cols, 0.2f)};
  for (float& weight : out.norm_weight.span()) weight += 1.0f;
  return out;
}

struct PackedFeedForward {
  PackedWeight gate, up;
  PackedFeedForward(const OpTable& table, const FeedForward& ffn)
      : gate(table, ffn.gate), up(table, ffn.up) {}
};

/// Tokens [first, first + count), the first `decode` of them as decode steps.
struct Rows {
  int64_t first = 0, count = 0, decode = 0;
};

Floats run_gate_up(const OpTable& table, const PackedFeedForward& packed, const FeedForward& ffn,
                   int workers, Rows part) {
  const int64_t cols = ffn.gate.cols, rows = ffn.gate.rows;
  Bench bench(table, limits_of(part.count, cols, rows, workers));
  Floats out(part.count * rows);
  table.gate_up(bench.context(), {.x = ffn.x.data() + part.first * cols,
                                  .norm_weight = ffn.norm_weight.data(),
                                  .gate = packed.gate.matrix(),
                                  .up = packed.up.matrix(),
                                  .out = out.data(),
                                  .tokens = part.count,
                                  .decode_tokens = part.decode});
  EXPECT_TRUE(out.guards_are_intact());
  return out;
}

/// Norm and product by the reference.
Floats reference_product(const FileMatrix& file, const FeedForward& ffn) {
  Bench bench(ref_ops(), limits_of(ffn.tokens, file.cols, file.rows, 1));
  Floats h(ffn.tokens * file.cols), y(ffn.tokens * file.rows);
  ref_ops().rms_norm(bench.context(), {ffn.x.data(), ffn.norm_weight.data(), h.data(), ffn.tokens,
                                       file.cols, 1e-5f});
  const PackedWeight packed(ref_ops(), file);
  ref_ops()
      .linear_for(file.dtype)
      .run(bench.context(),
           {.weight = packed.matrix(), .x = h.data(), .y = y.data(), .tokens = ffn.tokens});
  return y;
}

void expect_swiglu(const FeedForward& ffn, const Floats& out) {
  const Floats gates = reference_product(ffn.gate, ffn), ups = reference_product(ffn.up, ffn);
  const int64_t rows = ffn.gate.rows;
  for (int64_t i = 0; i < out.size(); ++i) {
    const double g = gates[i], u = ups[i], silu = g / (1 + std::exp(-g));
    const double gate_error =
        1.5 * testing::sum_tolerance(ffn.gate.dtype, ffn.gate.row_length(i % rows));
    const double up_error = 1.5 * testing::sum_tolerance(ffn.up.dtype, ffn.up.row_length(i % rows));
    // The slope of silu is at most 1.1.
    const double bound = 1.1 * gate_error * (std::fabs(u) + up_error) + std::fabs(silu) * up_error;
    ASSERT_NEAR(out[i], silu * u, bound + 1e-5)
        << base::name(ffn.gate.dtype) << " and " << base::name(ffn.up.dtype) << ", row " << i % rows
        << " of " << rows << ", token " << i / rows << ", cols " << ffn.gate.cols;
  }
}

TEST_P(EveryTable, FeedForwardsAgree) {
  if (table().gate_up == nullptr) GTEST_SKIP() << "no gate_up";
  SCOPED_TRACE(random_.trace());
  for (const DType dtype : weight_types()) {
    const DType other = random_.coin() ? dtype : static_cast<DType>(random_.between(0, 18));
    if (!multiplies(dtype) || !multiplies(other)) continue;
    const FeedForward ffn = random_feed_forward(random_, dtype, other, 300, random_.between(1, 20));
    const PackedFeedForward packed(table(), ffn);
    for (const bool decodes : {false, true}) {
      const auto rows = [&](int64_t first) {
        const int64_t count = ffn.tokens - first;
        return Rows{first, count, decodes ? count : 0};
      };
      const Floats out = run_gate_up(table(), packed, ffn, 1, rows(0));
      expect_swiglu(ffn, out);
      if (HasFatalFailure()) return;
      const int64_t first = random_.between(0, ffn.tokens - 1);
      EXPECT_TRUE(
          is_part(run_gate_up(table(), packed, ffn, 1, rows(first)), out, first, ffn.gate.rows));
      EXPECT_TRUE(same_bits(out.span(), run_gate_up(table(), packed, ffn, 3, rows(0)).span()));
    }
  }
}

TEST_P(EveryTable, DecodeStepsOfFeedForwardsDoNotDependOnTheirBatch) {
  if (table().gate_up == nullptr) return;
  SCOPED_TRACE(random_.trace());
  for (const DType dtype : weight_types()) {
    if (!multiplies(dtype)) continue;
    const FeedForward ffn = random_feed_forward(random_, dtype, dtype, 6000, 64);
    const PackedFeedForward packed(table(), ffn);
    for (const int64_t count : {9, 33, 64}) {
      const Floats batch = run_gate_up(table(), packed, ffn, 1, {0, count, count});
      for (const int64_t token : {int64_t{0}, random_.between(1, count - 2), count - 1}) {
        ASSERT_TRUE(is_part(run_gate_up(table(), packed, ffn, 1, {token, 1, 1}), batch, token,
                            ffn.gate.rows))
            << base::name(dtype) << ", token " << token << " of " << count << ", cols "
            << ffn.gate.cols;
      }
    }
  }
}

// --- logits ---

struct Head {
  FileMatrix matrix;
  Floats x, norm_weight;
  int64_t tokens;
};

Floats run_logits(const OpTable& table, const Head& head, std::span<const int32_t> rows,
                  int workers) {
  const PackedWeight packed(table, head.matrix);
  Bench bench(table, limits_of(head.tokens, head.matrix.cols, head.matrix.rows, workers));
  Floats out(std::ssize(rows) * head.matrix.rows);
  table.logits(bench.context(), {.x = head.x.data(),
                                 .rows = rows,
                                 .norm_weight = head.norm_weight.data(),
                                 .head = packed.matrix(),
                                 .logits = out.data()});
  EXPECT_TRUE(out.guards_are_intact());
  return out;
}

TEST_P(EveryTable, LogitsAgree) {
  if (table().logits == nullptr) GTEST_SKIP() << "no logits";
  SCOPED_TRACE(random_.trace());
  for (const DType dtype : weight_types()) {
    if (!multiplies(dtype)) continue;
    const int64_t cols = testing::random_cols(random_, dtype, 300);
    const int64_t tokens = random_.between(1, 12);
    Head head{FileMatrix::random(random_, dtype, random_.between(1, 150), cols),
              Floats::normal(random_, tokens * cols, 5.0f), Floats::normal(random_, cols, 0.5f),
              tokens};
    std::vector<int32_t> rows(static_cast<size_t>(random_.between(1, tokens)));
    for (int32_t& row : rows) row = static_cast<int32_t>(random_.between(0, tokens - 1));
    const Floats reference = run_logits(ref_ops(), head, rows, 1);
    const Floats out = run_logits(table(), head, rows, 1);
    for (int64_t i = 0; i < out.size(); ++i) {
      const double length = head.matrix.row_length(i % head.matrix.rows);
      ASSERT_NEAR(out[i], reference[i], 1.5 * testing::sum_tolerance(dtype, length))
          << base::name(dtype) << ", row " << i % head.matrix.rows << ", cols " << cols;
    }
    EXPECT_TRUE(same_bits(out.span(), run_logits(table(), head, rows, 3).span()));
    const std::span last(&rows.back(), 1);
    EXPECT_TRUE(
        is_part(run_logits(table(), head, last, 1), out, std::ssize(rows) - 1, head.matrix.rows));
  }
}

}  // namespace
}  // namespace neuros::kernels
