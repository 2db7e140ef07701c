/// A pass of decode steps, one or many, alone or with a prompt, as its table runs it
/// (OpTable::run_pass), against the same ops one after another.

#include "kernels/testing/bench.h"
#include "kernels/testing/cuda_table.h"
#include "kernels/testing/every_table.h"
#include "kernels/testing/sequences.h"

#include <algorithm>
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
using testing::PackedWeight;
using testing::Pages;
using testing::Random;
using testing::same_bits;
using testing::Sequences;

class EveryPass : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }

  Random random_;
};

INSTANTIATE_TEST_SUITE_P(Tables, EveryPass, testing::every_table(), testing::table_name);

/// What a small model has in common: shapes, types.
struct Shape {
  DType dtype = DType::kF16;
  DType other = DType::kF16;  ///< of some of the matrices
  int64_t hidden = 512, ffn = 1280, vocabulary = 1000;
  KvLayout kv;
  int32_t heads = 8;
  bool is_normed = false;   ///< queries and keys
  int32_t position = 0;     ///< of the first decode step
  int32_t decodes = 1;      ///< sequences, each further on than the one before
  int32_t prompt_rows = 0;  ///< of a last sequence
  int32_t window = 0;

  int64_t tokens() const { return int64_t{decodes} + prompt_rows; }
  int32_t position_of(int32_t decode) const { return position + 23 * decode; }
};

Shape random_shape(Random& random, DType dtype, int32_t position) {
  Shape shape;
  shape.dtype = dtype;
  shape.other = random.coin() ? dtype : random.coin() ? DType::kQ6_K : DType::kQ8_0;
  shape.hidden = 256 * random.between(1, 6);
  shape.ffn = 256 * random.between(1, 18);
  shape.vocabulary = random.between(100, 9000);
  shape.kv = {.dtype = random.coin() ? DType::kF16 : DType::kBF16,
              .page_tokens = random.coin() ? 16 : 32,
              .layers = 2,
              .kv_heads = static_cast<int32_t>(random.between(1, 4)),
              .head_dim = random.coin() ? 64 : 128};
  shape.heads = shape.kv.kv_heads * static_cast<int32_t>(random.between(1, 10));
  shape.is_normed = random.coin();
  shape.position = position;
  shape.window = random.between(0, 3) == 0 ? 100 : 0;
  return shape;
}

struct LayerWeights {
  PackedWeight q, k, v, o, gate, up, down;
  Floats attention_norm, ffn_norm, q_norm, k_norm, bias;

  LayerWeights(const OpTable& table, Random& random, const Shape& shape)
      : q(table, matrix(random, shape.dtype, width(shape), shape.hidden)),
        k(table, matrix(random, shape.dtype, kv_width(shape), shape.hidden)),
        v(table, matrix(random, shape.other, kv_width(shape), shape.hidden)),
        o(table, matrix(random, shape.dtype, shape.hidden, width(shape))),
        gate(table, matrix(random, shape.dtype, shape.ffn, shape.hidden)),
        up(table, matrix(random, shape.dtype, shape.ffn, shape.hidden)),
        down(table, matrix(random, shape.other, shape.hidden, shape.ffn)),
        attention_norm(Floats::normal(random, shape.hidden)),
        ffn_norm(Floats::normal(random, shape.hidden)),
        q_norm(Floats::normal(random, shape.kv.head_dim)),
        k_norm(Floats::normal(random, shape.kv.head_dim)),
        bias(Floats::normal(random, width(shape))) {}

  static int64_t width(const Shape& shape) { return int64_t{shape.heads} * shape.kv.head_dim; }
  static int64_t kv_width(const Shape& shape) {
    return int64_t{shape.kv.kv_heads} * shape.kv.head_dim;
  }
  /// Heads may be no whole blocks of a type wide.
  static FileMatrix matrix(Random& random, DType dtype, int64_t rows, int64_t cols) {
    const bool fits = cols % base::info(dtype).block_elements == 0;
    return FileMatrix::random(random, fits ? dtype : DType::kQ8_0, rows, cols);
  }
};

/// Everything a pass reads and writes.
struct Model {
  Shape shape;
  std::vector<LayerWeights> layers;
  PackedWeight head;
  Floats norm, x, rope;
  Sequences sequences;
  Pages pages;
  std::vector<int32_t> ids, logit_rows{0};

  Model(const OpTable& table, Random& random, const Shape& of)
      : shape(of),
        head(table, LayerWeights::matrix(random, of.other, of.vocabulary, of.hidden)),
        norm(Floats::normal(random, of.hidden)),
        x(Floats::normal(random, of.tokens() * of.hidden)),
        rope(Floats::normal(random, of.tokens() * of.kv.head_dim)),
        sequences(random, parts(of), of.kv.page_tokens),
        pages(of.kv, sequences.pages()),
        ids(static_cast<size_t>(of.tokens())) {
    if (of.tokens() > 1) logit_rows.push_back(static_cast<int32_t>(of.tokens()) - 1);
    for (int32_t i = 0; i < of.kv.layers; ++i) layers.emplace_back(table, random, of);
    pages.fill(random, sequences.slices());
  }

  static std::vector<Sequences::Part> parts(const Shape& of) {
    std::vector<Sequences::Part> parts;
    for (int32_t i = 0; i < of.decodes; ++i) parts.push_back({1, of.position_of(i), true});
    if (of.prompt_rows > 0) parts.push_back({of.prompt_rows, 0});
    return parts;
  }
  /// All matrices in the kernel of a decode step, or by launches.
  KernelChoices steps(int32_t value) const {
    std::vector<KernelChoice> choices;
    const auto add = [&](const PackedWeight& weight) {
      const PackedMatrix& of = weight.matrix();
      choices.push_back({{ChoiceOp::kDecodeStep, of.dtype, of.rows, of.cols, 1}, value});
    };
    for (const LayerWeights& layer : layers) {
      for (const auto* weight : {&layer.q, &layer.k, &layer.v, &layer.o}) add(*weight);
      for (const auto* weight : {&layer.gate, &layer.up, &layer.down}) add(*weight);
    }
    add(head);
    return KernelChoices(std::move(choices));
  }
  int64_t logits() const { return std::ssize(logit_rows) * shape.vocabulary; }
};

/// What a pass leaves.
struct Outcome {
  Floats x, logits;
  std::vector<float> pages;
};

/// The ops of one pass over a model's state.
class Pass {
 public:
  Pass(Model& model, const OpTable& table, Outcome& out)
      : model_(model),
        table_(table),
        out_(out),
        q_(model.shape.tokens() * LayerWeights::width(model.shape)),
        attended_(model.shape.tokens() * LayerWeights::width(model.shape)),
        inner_(model.shape.tokens() * model.shape.ffn) {}

  BatchView view() const {
    return {
        .ids = model_.ids, .sequences = model_.sequences.slices(), .logit_rows = model_.logit_rows};
  }

  void run(const OpContext& context) {
    for (int32_t i = 0; i < model_.shape.kv.layers; ++i) layer(context, i);
    LogitsArgs args{.x = out_.x.data(),
                    .rows = model_.logit_rows,
                    .norm_weight = model_.norm.data(),
                    .head = model_.head.matrix(),
                    .logits = out_.logits.data()};
    table_.logits(context, args);
  }

 private:
  void layer(const OpContext& context, int32_t i) {
    const LayerWeights& weights = model_.layers.at(static_cast<size_t>(i));
    const Shape& shape = model_.shape;
    table_.qkv_rope(context, {.x = out_.x.data(),
                              .norm_weight = weights.attention_norm.data(),
                              .wq = weights.q.matrix(),
                              .wk = weights.k.matrix(),
                              .wv = weights.v.matrix(),
                              .bq = weights.bias.data(),
                              .q_norm = shape.is_normed ? weights.q_norm.data() : nullptr,
                              .k_norm = shape.is_normed ? weights.k_norm.data() : nullptr,
                              .rope_table = model_.rope.data(),
                              .rope_dims = shape.kv.head_dim,
                              .heads = shape.heads,
                              .sequences = model_.sequences.slices(),
                              .kv = model_.pages.cache(),
                              .layer = i,
                              .q = q_.data(),
                              .tokens = shape.tokens(),
                              .decode_tokens = shape.decodes});
    table_.attention(context, {.q = q_.data(),
                               .out = attended_.data(),
                               .sequences = model_.sequences.slices(),
                               .kv = model_.pages.cache(),
                               .layer = i,
                               .heads = shape.heads,
                               .scale = 1.0f / std::sqrt(static_cast<float>(shape.kv.head_dim)),
                               .window = i == 0 ? shape.window : 0});
    linear(context, weights.o.matrix(), attended_);
    table_.gate_up(context, {.x = out_.x.data(),
                             .norm_weight = weights.ffn_norm.data(),
                             .gate = weights.gate.matrix(),
                             .up = weights.up.matrix(),
                             .out = inner_.data(),
                             .tokens = shape.tokens(),
                             .decode_tokens = shape.decodes});
    linear(context, weights.down.matrix(), inner_);
  }

  void linear(const OpContext& context, const PackedMatrix& weight, const Floats& x) {
    table_.linear_for(weight.dtype)
        .run(context, {.weight = weight,
                       .x = x.data(),
                       .residual = out_.x.data(),
                       .y = out_.x.data(),
                       .tokens = model_.shape.tokens(),
                       .decode_tokens = model_.shape.decodes});
  }

  Model& model_;
  const OpTable& table_;
  Outcome& out_;
  Floats q_, attended_, inner_;
};

OpLimits limits_of(const Shape& shape) {
  const int64_t width = LayerWeights::width(shape);
  return {.tokens = shape.tokens(),
          .sequences = shape.decodes + 1,
          .cols = std::max({shape.hidden, shape.ffn, width}),
          .rows = std::max({shape.vocabulary, shape.ffn, width}),
          .heads = shape.heads,
          .head_dim = shape.kv.head_dim,
          .context = std::max(shape.position_of(shape.decodes), shape.prompt_rows),
          .logit_rows = 2,
          .workers = 2};
}

/// Without the staging of each op's own arguments that other tests need.
const OpTable& serving(const OpTable& table) {
  return table.stage_batch != nullptr ? *cuda_ops() : table;
}

/// Runs the model's pass `times` times from the same state, as the table would while serving.
/// `bench_table` is the table as other tests have it, which decides the stream.
std::vector<Outcome> run(Model& model, const OpTable& bench_table, bool as_pass, int times,
                         const KernelChoices* choices = nullptr) {
  const OpTable& table = serving(bench_table);
  Bench bench(bench_table, limits_of(model.shape));
  OpContext context = bench.context();
  context.choices = choices;
  device::Buffer scratch;  // where GPUs have their atomics
  if (table.stage_batch != nullptr) {
    scratch = testing::test_gpu()->reserve(context.scratch.size(), "scratch").value();
    context.scratch = scratch.span();
  }
  std::vector<Outcome> out;
  for (int i = 0; i < times; ++i) {
    out.push_back({model.x, Floats(model.logits()), {}});
    Pass pass(model, table, out.back());
    const BatchView view = pass.view();
    if (table.stage_batch != nullptr) table.stage_batch(context, view);
    const auto ops = [&](const OpContext& each) { pass.run(each); };
    if (as_pass && table.run_pass != nullptr) {
      table.run_pass(context, view, ops);
    } else {
      ops(context);
    }
    EXPECT_TRUE(context.stream.synchronize().has_value());
    out.back().pages = model.pages.elements();
  }
  return out;
}

void expect_same(const Outcome& pass, const Outcome& ops, const Shape& shape) {
  const auto what =
      std::string(base::name(shape.dtype)) + " and " + std::string(base::name(shape.other)) +
      ", hidden " + std::to_string(shape.hidden) + ", ffn " + std::to_string(shape.ffn) +
      ", heads " + std::to_string(shape.heads) + " of " + std::to_string(shape.kv.kv_heads) +
      " x " + std::to_string(shape.kv.head_dim) + ", position " + std::to_string(shape.position) +
      ", decode steps " + std::to_string(shape.decodes) + ", prompt of " +
      std::to_string(shape.prompt_rows);
  EXPECT_TRUE(std::ranges::all_of(ops.logits.span(), [](float x) { return std::isfinite(x); }))
      << what;
  for (size_t i = 0; i < ops.pages.size(); ++i) {
    if (same_bits({&pass.pages[i], 1}, {&ops.pages[i], 1})) continue;
    ADD_FAILURE() << what << ": pages differ first at " << i << " of " << ops.pages.size() << ": "
                  << pass.pages[i] << ", by its ops " << ops.pages[i];
    break;
  }
  EXPECT_TRUE(same_bits(pass.x.span(), ops.x.span())) << what;
  EXPECT_TRUE(same_bits(pass.logits.span(), ops.logits.span())) << what;
}

void check(const OpTable& table, Random& random, Shape shape) {
  if (table.run_pass == nullptr) {  // its ops again: small ones will do
    shape.hidden = shape.ffn = 256;
    shape.vocabulary = 100;
    shape.heads = shape.kv.kv_heads;
    shape.prompt_rows = std::min(shape.prompt_rows, 9);
    shape.decodes = std::min(shape.decodes, 9);
  }
  Model model(table, random, shape);
  const std::vector<Outcome> ops = run(model, table, false, 1);
  const std::vector<Outcome> passes = run(model, table, true, 3);
  for (const Outcome& pass : passes) {
    expect_same(pass, ops.front(), shape);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST_P(EveryPass, HasTheBitsOfItsOps) {
  SCOPED_TRACE(random_.trace());
  for (int i = 0; i < base::kWeightDTypeCount; ++i) {
    const auto position = static_cast<int32_t>(random_.between(0, 300));
    check(table(), random_, random_shape(random_, static_cast<DType>(i), position));
    if (HasFailure()) return;
  }
}

TEST_P(EveryPass, HasTheBitsOfItsOpsWhereverItStands) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t position : {0, 15, 63, 64, 1023, 1024, 2047, 2048, 3000, 4095, 4096}) {
    const DType dtype = random_.coin() ? DType::kQ4_K : DType::kBF16;
    check(table(), random_, random_shape(random_, dtype, position));
    if (HasFailure()) return;
  }
}

TEST_P(EveryPass, HasTheBitsOfItsOpsWithAPrompt) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t rows : {1, 17, 64, 70, 200}) {
    for (const DType dtype : {DType::kBF16, DType::kF16, DType::kQ4_K}) {
      Shape shape = random_shape(random_, dtype, 40);
      shape.prompt_rows = rows;
      if (random_.coin()) shape.other = dtype;
      check(table(), random_, shape);
      if (HasFailure()) return;
    }
  }
}

TEST_P(EveryPass, HasTheBitsOfItsOpsWithManySteps) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t decodes : {2, 9, 33, 64}) {
    for (const DType dtype : {DType::kBF16, DType::kF16, DType::kQ8_0}) {
      Shape shape = random_shape(random_, dtype, static_cast<int32_t>(random_.between(0, 100)));
      shape.decodes = decodes;
      if (random_.coin()) shape.other = dtype;
      check(table(), random_, shape);
      if (HasFailure()) return;
    }
  }
}

/// A kernel of a whole pass has a limit of ops, wherever in a layer that is reached.
TEST_P(EveryPass, HasTheBitsOfItsOpsHoweverDeep) {
  SCOPED_TRACE(random_.trace());
  for (const int32_t layers : {37, 80}) {
    Shape shape = random_shape(random_, random_.coin() ? DType::kQ4_K : DType::kBF16, 20);
    shape.other = shape.dtype;  // one launch of 16-bit or of quantised weights
    shape.hidden = shape.ffn = 256;
    shape.heads = shape.kv.kv_heads = 1;
    shape.kv.layers = layers;
    check(table(), random_, shape);
    if (HasFailure()) return;
  }
}

/// By launches, and as one kernel matrices that would go by launches otherwise.
TEST_P(EveryPass, HasTheBitsOfItsOpsAsChosen) {
  SCOPED_TRACE(random_.trace());
  if (table().choice_values == nullptr) GTEST_SKIP() << table().name << " has no choices";
  for (const DType dtype : {DType::kQ4_K, DType::kQ8_0, DType::kBF16, DType::kF16}) {
    Shape shape = random_shape(random_, dtype, 100);
    shape.other = dtype;
    if (dtype == DType::kQ8_0) shape.hidden = 3072, shape.ffn = 4608;  // more than 12M elements
    Model model(table(), random_, shape);
    const std::vector<Outcome> ops = run(model, table(), false, 1);
    for (const int32_t value : {0, 1}) {
      const KernelChoices choices = model.steps(value);
      for (const Outcome& pass : run(model, table(), true, 2, &choices)) {
        expect_same(pass, ops.front(), shape);
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace neuros::kernels
