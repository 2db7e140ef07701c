/// Projections into the pages, and attention over them, of every table against the reference.

#include "kernels/testing/bench.h"
#include "kernels/testing/every_table.h"
#include "kernels/testing/sequences.h"

#include <algorithm>
#include <cmath>
#include <cstring>
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
using testing::Pages;
using testing::Random;
using testing::same_bits;
using testing::Sequences;

class EveryAttention : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }

  Random random_;
};

INSTANTIATE_TEST_SUITE_P(Tables, EveryAttention, testing::every_table(), testing::table_name);

template <typename T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[random.between(0, std::ssize(choices) - 1)];
}

KvLayout random_layout(Random& random) {
  return {.dtype = one_of(random, {DType::kF16, DType::kBF16, DType::kF32}),
          .page_tokens = one_of(random, {16, 32, 48, 64}),
          .layers = 2,
          .kv_heads = static_cast<int32_t>(random.between(1, 3)),
          .head_dim = one_of(random, {16, 20, 34, 64, 80, 128})};
}

// --- attention ---

struct Attention {
  KvLayout layout;
  Sequences sequences;
  Pages pages;
  Floats q;
  AttentionArgs args;  ///< all but out, sequences and their rows

  Attention(Random& random, const KvLayout& kv, Sequences batch)
      : layout(kv), sequences(std::move(batch)), pages(kv, sequences.pages()) {
    pages.fill(random, sequences.slices());
    args.layer = static_cast<int32_t>(random.between(0, 1));
    args.heads = kv.kv_heads * static_cast<int32_t>(random.between(1, 8));
    args.scale = one_of(random, {0.3f, 1.0f, 4.0f}) / std::sqrt(static_cast<float>(kv.head_dim));
    args.window = random.coin() ? 0 : static_cast<int32_t>(random.between(1, 90));
    args.soft_cap = random.coin() ? 0.0f : 2.0f;
    args.kv = pages.cache();
    q = Floats::normal(random, int64_t{sequences.rows()} * width());
    args.q = q.data();
  }
  int64_t width() const { return int64_t{args.heads} * layout.head_dim; }

  Floats run(const OpTable& table, std::span<const SequenceSlice> slices, int workers) {
    Bench bench(table, {.tokens = sequences.rows(),
                        .sequences = std::ssize(slices),
                        .cols = 64,
                        .rows = 64,
                        .heads = args.heads,
                        .head_dim = layout.head_dim,
                        .context = sequences.context(),
                        .workers = workers});
    Floats out(int64_t{sequences.rows()} * width());
    args.out = out.data();
    args.sequences = slices;
    table.attention(bench.context(), args);
    EXPECT_TRUE(out.guards_are_intact());
    return out;
  }
};

enum class Rows { kDecode, kPrompt };

/// How far an element may be from the reference, for queries, keys and values of size 1.
///
/// Tensor cores take queries and softmax weights in the type of the keys, of unit roundoff u. That
/// moves a score by about u * |scale| * sqrt(head_dim) and an element, a mean of values of size 1,
/// by a few times that, and rounded weights move it by about u: of a million elements computed so
/// in double, the worst was off by 0.6 + 1.5 * scale * sqrt(head_dim) units u. The bound is twice
/// that. For decode steps the same operands are sums of two roundings: u squared.
double attention_tolerance(const OpTable& table, const Attention& attention, Rows rows) {
  constexpr double kFloatSums = 1e-4;
  const KvLayout& layout = attention.layout;
  if (table.name != "cuda" || layout.dtype == DType::kF32) return kFloatSums;
  const double unit = layout.dtype == DType::kF16 ? 0x1p-11 : 0x1p-8;
  const double rounding = rows == Rows::kDecode ? unit * unit : unit;
  return kFloatSums + rounding * (2 + 3 * attention.args.scale *
                                          std::sqrt(static_cast<double>(layout.head_dim)));
}

void expect_agreement(const Attention& attention, const Floats& out, const Floats& reference,
                      double tolerance) {
  for (int64_t i = 0; i < out.size(); ++i) {
    ASSERT_NEAR(out[i], reference[i], tolerance)
        << "row " << i / attention.width() << ", element " << i % attention.width() << ", head_dim "
        << attention.layout.head_dim << ", heads " << attention.args.heads << " on "
        << attention.layout.kv_heads << ", " << base::name(attention.layout.dtype) << ", pages of "
        << attention.layout.page_tokens << ", window " << attention.args.window << ", soft cap "
        << attention.args.soft_cap;
  }
}

TEST_P(EveryAttention, AgreesWithTheReference) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (int repeat = 0; repeat < 12; ++repeat) {
    const KvLayout layout = random_layout(random_);
    Attention attention(random_, layout, Sequences::random(random_, layout.page_tokens));
    const auto slices = attention.sequences.slices();
    const Floats reference = attention.run(ref_ops(), slices, 1);
    const Floats out = attention.run(table(), slices, 1);
    expect_agreement(attention, out, reference,
                     attention_tolerance(table(), attention, Rows::kPrompt));
    if (HasFatalFailure()) return;
    EXPECT_TRUE(same_bits(out.span(), attention.run(table(), slices, 2).span()));
    EXPECT_TRUE(same_bits(out.span(), attention.run(table(), slices, 3).span()));
  }
}

/// Head sizes of models, and two that none has; each in every type of the pages.
std::vector<KvLayout> every_layout(Random& random) {
  std::vector<KvLayout> out;
  for (const int32_t head_dim : {8, 48, 64, 80, 96, 128, 192, 256}) {
    for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
      out.push_back({.dtype = dtype,
                     .page_tokens = one_of(random, {16, 32, 48, 64}),
                     .layers = 2,
                     .kv_heads = static_cast<int32_t>(random.between(1, 2)),
                     .head_dim = head_dim});
    }
  }
  return out;
}

TEST_P(EveryAttention, PromptsOfAnyHeadAgreeWithTheReference) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (const KvLayout& layout : every_layout(random_)) {
    const auto before = static_cast<int32_t>(random_.between(0, 200));
    Attention attention(random_, layout,
                        Sequences(random_, {{21, before}, {5, 0}}, layout.page_tokens));
    const auto slices = attention.sequences.slices();
    expect_agreement(attention, attention.run(table(), slices, 2),
                     attention.run(ref_ops(), slices, 2),
                     attention_tolerance(table(), attention, Rows::kPrompt));
    if (HasFatalFailure()) return;
  }
}

/// So long that tiles of 64 positions pass through their places more than once; with a window,
/// first tiles of some rows have nothing that they see.
TEST_P(EveryAttention, LongPromptsAgreeWithTheReference) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (const int32_t head_dim : {64, 128}) {
    for (const DType dtype : {DType::kF16, DType::kBF16}) {
      for (const int32_t window : {0, 70}) {
        const KvLayout layout{
            .dtype = dtype, .page_tokens = 32, .layers = 2, .kv_heads = 1, .head_dim = head_dim};
        Attention attention(random_, layout, Sequences(random_, {{75, 900}, {33, 20}}, 32));
        attention.args.heads = 2;
        attention.args.window = window;
        attention.q = Floats::normal(random_, 108 * attention.width());
        attention.args.q = attention.q.data();
        const auto slices = attention.sequences.slices();
        expect_agreement(attention, attention.run(table(), slices, 2),
                         attention.run(ref_ops(), slices, 2),
                         attention_tolerance(table(), attention, Rows::kPrompt));
        if (HasFatalFailure()) return;
      }
    }
  }
}

/// Rows that decode at the ends of tiles, pages and splits of 64 positions, and anywhere.
std::vector<Sequences::Part> decode_parts(Random& random) {
  std::vector<Sequences::Part> out;
  for (const int32_t position : {0, 15, 16, 62, 63, 64, 127, 128})
    out.push_back({1, position, true});
  out.push_back({1, static_cast<int32_t>(random.between(129, 400)), true});
  return out;
}

TEST_P(EveryAttention, DecodeStepsAgreeWithTheReference) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (const KvLayout& layout : every_layout(random_)) {
    Attention attention(random_, layout,
                        Sequences(random_, decode_parts(random_), layout.page_tokens));
    const auto slices = attention.sequences.slices();
    expect_agreement(attention, attention.run(table(), slices, 2),
                     attention.run(ref_ops(), slices, 2),
                     attention_tolerance(table(), attention, Rows::kDecode));
    if (HasFatalFailure()) return;
  }
}

/// So long that splits grow beyond 64 positions; the groups are larger than eight query heads.
TEST_P(EveryAttention, LongDecodeStepsAgreeWithTheReference) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const KvLayout layout{
        .dtype = dtype, .page_tokens = 32, .layers = 2, .kv_heads = 1, .head_dim = 64};
    Attention attention(random_, layout,
                        Sequences(random_, {{1, 4095, true}, {1, 8300, true}}, 32));
    attention.args.heads = static_cast<int32_t>(random_.between(1, 12));
    attention.args.window = one_of(random_, {0, 90, 5000});
    attention.q = Floats::normal(random_, 2 * attention.width());
    attention.args.q = attention.q.data();
    const auto slices = attention.sequences.slices();
    const Floats out = attention.run(table(), slices, 2);
    expect_agreement(attention, out, attention.run(ref_ops(), slices, 2),
                     attention_tolerance(table(), attention, Rows::kDecode));
    if (HasFatalFailure()) return;
  }
}

/// The rows of one sequence of a batch have the bits that the sequence has alone.
void expect_alone(const OpTable& table, Attention& attention, const SequenceSlice& slice,
                  const Floats& whole) {
  const Floats alone = attention.run(table, {&slice, 1}, 1);
  const auto offset = static_cast<size_t>(slice.first_row * attention.width());
  const auto count = static_cast<size_t>(slice.rows * attention.width());
  ASSERT_TRUE(same_bits(alone.span().subspan(offset, count), whole.span().subspan(offset, count)))
      << "position " << slice.first_position << ", head_dim " << attention.layout.head_dim;
}

TEST_P(EveryAttention, DecodeStepsDoNotDependOnTheirBatch) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (const KvLayout& layout : every_layout(random_)) {
    std::vector<Sequences::Part> parts = decode_parts(random_);
    parts.push_back({9, 30});  // a prompt
    parts.push_back({1, 99});  // the last token of another
    Attention attention(random_, layout, Sequences(random_, parts, layout.page_tokens));
    const Floats whole = attention.run(table(), attention.sequences.slices(), 2);
    for (const SequenceSlice& slice : attention.sequences.slices()) {
      expect_alone(table(), attention, slice, whole);
      if (HasFatalFailure()) return;
    }
  }
}

/// However a prompt is cut and whoever shares the batch, a row has the same bits.
TEST_P(EveryAttention, RowsDoNotDependOnTheirBatch) {
  ASSERT_NE(table().attention, nullptr);
  SCOPED_TRACE(random_.trace());
  for (int repeat = 0; repeat < 6; ++repeat) {
    const KvLayout layout = random_layout(random_);
    Attention attention(
        random_, layout,
        Sequences(random_, {{50, static_cast<int32_t>(random_.between(0, 70))}, {1, 33}, {7, 0}},
                  layout.page_tokens));
    const auto slices = attention.sequences.slices();
    const Floats whole = attention.run(table(), slices, 2);
    for (SequenceSlice piece : slices) {
      const int32_t end = piece.rows;
      for (int32_t first = 0; first < end; first += piece.rows) {
        piece.rows = static_cast<int32_t>(std::min<int64_t>(random_.between(1, 20), end - first));
        const SequenceSlice alone{piece.first_row + first, piece.rows, piece.first_position + first,
                                  piece.pages};
        const Floats part = attention.run(table(), {&alone, 1}, 1);
        const auto offset = static_cast<size_t>(alone.first_row * attention.width());
        const auto count = static_cast<size_t>(alone.rows * attention.width());
        ASSERT_TRUE(
            same_bits(part.span().subspan(offset, count), whole.span().subspan(offset, count)))
            << "rows " << first << " to " << first + piece.rows;
      }
    }
  }
}

// --- qkv_rope ---

constexpr int32_t kPageTokens = 16;

struct Projections {
  KvLayout layout;
  int32_t heads = 0;
  FileMatrix q, k, v;
  Floats x, norm_weight, bq, bk, bv, q_norm, k_norm, rope;
  int32_t rope_dims = 0;
  RopeStyle style = RopeStyle::kHalves;
};

DType type_like(Random& random, DType dtype, int64_t cols) {
  const auto other = static_cast<DType>(random.between(0, base::kWeightDTypeCount - 1));
  return random.coin() && cols % base::info(other).block_elements == 0 ? other : dtype;
}

Projections random_projections(Random& random, DType dtype, int64_t tokens) {
  Projections out;
  out.layout = random_layout(random);
  out.layout.page_tokens = kPageTokens;
  out.heads = out.layout.kv_heads * static_cast<int32_t>(random.between(1, 4));
  const int64_t cols = testing::random_cols(random, dtype, 300);
  const int64_t head_dim = out.layout.head_dim;
  const int64_t q_rows = out.heads * head_dim, kv_rows = out.layout.kv_heads * head_dim;
  out.q = FileMatrix::random(random, dtype, q_rows, cols);
  out.k = FileMatrix::random(random, type_like(random, dtype, cols), kv_rows, cols);
  out.v = FileMatrix::random(random, type_like(random, dtype, cols), kv_rows, cols);
  out.x = Floats::normal(random, tokens * cols, 2.0f);
  out.norm_weight = Floats::normal(random, cols);
  if (random.coin()) {
    out.bq = Floats::normal(random, q_rows);
    out.bk = Floats::normal(random, kv_rows);
    out.bv = Floats::normal(random, kv_rows);
  }
  if (random.coin()) {
    out.q_norm = Floats::normal(random, head_dim);
    out.k_norm = Floats::normal(random, head_dim);
  }
  out.style = random.coin() ? RopeStyle::kHalves : RopeStyle::kInterleaved;
  if (random.between(0, 3) > 0) {
    out.rope_dims = static_cast<int32_t>(2 * random.between(1, head_dim / 2));
    if (random.coin()) out.rope_dims = out.layout.head_dim;
    out.rope = Floats(tokens * out.rope_dims);
    for (int64_t i = 0; i < out.rope.size(); i += 2) {
      const float angle = random.normal(3.0f);
      out.rope[i] = std::cos(angle);
      out.rope[i + 1] = std::sin(angle);
    }
  }
  return out;
}

struct PackedProjections {
  PackedWeight q, k, v;
  PackedProjections(const OpTable& table, const Projections& from)
      : q(table, from.q), k(table, from.k), v(table, from.v) {}
};

const float* data_or_null(const Floats& floats) {
  return floats.size() > 0 ? floats.data() : nullptr;
}

/// Runs the op for slices whose first row is row `first` of the activations; returns q.
Floats project(const OpTable& table, const PackedProjections& packed, const Projections& from,
               std::span<const SequenceSlice> slices, int64_t first, int64_t tokens, Pages& pages,
               int workers) {
  const int64_t cols = from.q.cols;
  Bench bench(table, {.tokens = tokens,
                      .sequences = std::ssize(slices),
                      .cols = cols,
                      .rows = from.q.rows,
                      .heads = from.heads,
                      .head_dim = from.layout.head_dim,
                      .context = 256,
                      .workers = workers});
  Floats q(tokens * from.q.rows);
  QkvRopeArgs args{.x = from.x.data() + first * cols,
                   .norm_weight = from.norm_weight.data(),
                   .wq = packed.q.matrix(),
                   .wk = packed.k.matrix(),
                   .wv = packed.v.matrix(),
                   .bq = data_or_null(from.bq),
                   .bk = data_or_null(from.bk),
                   .bv = data_or_null(from.bv),
                   .q_norm = data_or_null(from.q_norm),
                   .k_norm = data_or_null(from.k_norm),
                   .rope_dims = from.rope_dims,
                   .rope_style = from.style,
                   .heads = from.heads,
                   .sequences = slices,
                   .kv = pages.cache(),
                   .layer = 1,
                   .q = q.data(),
                   .tokens = tokens};
  if (from.rope.size() > 0) args.rope_table = from.rope.data() + first * from.rope_dims;
  table.qkv_rope(bench.context(), args);
  EXPECT_TRUE(q.guards_are_intact());
  return q;
}

double relative_tolerance(const Projections& from) {
  double worst = 2e-5;
  for (const FileMatrix* matrix : {&from.q, &from.k, &from.v}) {
    if (matrix->dtype == DType::kF32) continue;
    worst = std::max(worst, base::is_quantised(matrix->dtype) ? 0.03 : 0.012);
  }
  if (from.layout.dtype == DType::kF16) worst += 1e-3;
  if (from.layout.dtype == DType::kBF16) worst += 8e-3;
  return worst;
}

/// In the mean of squares over all elements that are numbers; the others must be NaN in both.
void expect_near_on_average(std::span<const float> out, std::span<const float> reference,
                            double tolerance) {
  ASSERT_EQ(out.size(), reference.size());
  double error = 0.0, total = 0.0;
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(std::isnan(out[i]), std::isnan(reference[i])) << "element " << i;
    if (std::isnan(out[i])) continue;
    error += std::pow(static_cast<double>(out[i]) - reference[i], 2);
    total += std::pow(static_cast<double>(reference[i]), 2);
  }
  ASSERT_LE(std::sqrt(error), tolerance * std::sqrt(total));
}

/// ... and no element is far off.
void expect_near_everywhere(std::span<const float> out, std::span<const float> reference,
                            double tolerance) {
  double total = 0.0;
  int64_t count = 0;
  for (const float value : reference) {
    if (std::isnan(value)) continue;
    total += std::pow(static_cast<double>(value), 2);
    ++count;
  }
  const double size = std::sqrt(total / static_cast<double>(std::max<int64_t>(count, 1)));
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isnan(reference[i])) continue;
    ASSERT_NEAR(out[i], reference[i], 10 * tolerance * (size + std::fabs(reference[i])))
        << "element " << i;
  }
}

std::string describe(const Projections& from) {
  const auto name = [](DType dtype) { return std::string(base::name(dtype)); };
  return name(from.q.dtype) + ", " + name(from.k.dtype) + ", " + name(from.v.dtype) + " into " +
         name(from.layout.dtype) + ", head_dim " + std::to_string(from.layout.head_dim) +
         ", cols " + std::to_string(from.q.cols);
}

bool supports(const OpTable& table, const Projections& from) {
  return table.linear_for(from.q.dtype) && table.linear_for(from.k.dtype) &&
         table.linear_for(from.v.dtype);
}

bool same_pages(Pages& a, Pages& b) {
  return std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

/// One batch of projections and what a table made of it.
struct ProjectedBatch {
  Sequences sequences;
  Projections from;
  PackedProjections packed;
  Pages pages;
  Floats q;

  ProjectedBatch(const OpTable& table, Sequences batch, Projections projections)
      : sequences(std::move(batch)),
        from(std::move(projections)),
        packed(table, from),
        pages(from.layout, sequences.pages()),
        q(project(table, packed, from, sequences.slices(), 0, sequences.rows(), pages, 1)) {}
};

class EveryProjection : public EveryAttention {
 protected:
  /// check(batch) for each weight type in turn.
  template <typename Check>
  void for_each_type(Check check) {
    if (table().qkv_rope == nullptr) GTEST_SKIP() << "no qkv_rope";
    SCOPED_TRACE(random_.trace());
    for (int i = 0; i < base::kWeightDTypeCount; ++i) {
      Sequences sequences = batch();
      Projections from = random_projections(random_, static_cast<DType>(i), sequences.rows());
      SCOPED_TRACE(describe(from));
      if (!supports(table(), from)) continue;
      check(ProjectedBatch(table(), std::move(sequences), std::move(from)));
      if (HasFatalFailure()) return;
    }
  }
  Sequences batch() {
    return Sequences(random_, {{static_cast<int32_t>(random_.between(1, 20)), 0}, {1, 40}, {3, 14}},
                     kPageTokens);
  }
};

INSTANTIATE_TEST_SUITE_P(Tables, EveryProjection, testing::every_table(), testing::table_name);

TEST_P(EveryProjection, AgreesWithTheReference) {
  for_each_type([](ProjectedBatch batch) {
    Pages pages(batch.from.layout, batch.sequences.pages());
    const Floats q = project(ref_ops(), PackedProjections(ref_ops(), batch.from), batch.from,
                             batch.sequences.slices(), 0, batch.sequences.rows(), pages, 1);
    const double tolerance = relative_tolerance(batch.from);
    expect_near_on_average(batch.q.span(), q.span(), tolerance);
    expect_near_everywhere(batch.q.span(), q.span(), tolerance);
    expect_near_on_average(batch.pages.elements(), pages.elements(), tolerance);
    expect_near_everywhere(batch.pages.elements(), pages.elements(), tolerance);
  });
}

TEST_P(EveryProjection, WorkersDoNotChangeTheResult) {
  for_each_type([this](ProjectedBatch batch) {
    Pages pages(batch.from.layout, batch.sequences.pages());
    const Floats q = project(table(), batch.packed, batch.from, batch.sequences.slices(), 0,
                             batch.sequences.rows(), pages, 3);
    ASSERT_TRUE(same_bits(q.span(), batch.q.span()));
    ASSERT_TRUE(same_pages(pages, batch.pages));
  });
}

TEST_P(EveryProjection, SequencesDoNotDependOnTheirBatch) {
  for_each_type([this](ProjectedBatch batch) {
    Pages pages(batch.from.layout, batch.sequences.pages());
    for (const SequenceSlice& slice : batch.sequences.slices()) {
      const SequenceSlice alone{0, slice.rows, slice.first_position, slice.pages};
      const Floats q = project(table(), batch.packed, batch.from, {&alone, 1}, slice.first_row,
                               slice.rows, pages, 1);
      const auto offset = static_cast<size_t>(slice.first_row * batch.from.q.rows);
      ASSERT_TRUE(same_bits(q.span(), batch.q.span().subspan(offset, q.span().size())));
    }
    ASSERT_TRUE(same_pages(pages, batch.pages));
  });
}

}  // namespace
}  // namespace neuros::kernels
