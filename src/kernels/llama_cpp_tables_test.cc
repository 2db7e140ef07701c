/// llama.cpp's arithmetic on a GPU against the same on a CPU: bit by bit where no function of the C
/// library is in it. On a machine without a GPU the CPU's is compared with itself.

#include "kernels/testing/bench.h"
#include "kernels/testing/cuda_table.h"
#include "kernels/testing/every_table.h"
#include "kernels/testing/sequences.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
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

std::vector<const OpTable*> compared_tables() {
  std::vector<const OpTable*> tables{&llama_cpp_ops()};
  const OpTable* const gpu = testing::synchronous_cuda_llama_cpp_ops();
  if (gpu != nullptr) tables.push_back(gpu);
  return tables;
}

class LlamaCppTables : public ::testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& table() const { return *GetParam(); }
  /// What an op gives with llama.cpp's arithmetic on a CPU, and with the table.
  template <typename Run>
  void expect_same_bits(Run run) {
    const Floats wanted = run(llama_cpp_ops()), got = run(table());
    EXPECT_TRUE(same_bits(got.span(), wanted.span()));
  }

  Random random_;
};

INSTANTIATE_TEST_SUITE_P(Tables, LlamaCppTables, ::testing::ValuesIn(compared_tables()),
                         testing::table_name);

OpLimits limits_of(int64_t tokens, int64_t rows, int64_t cols) {
  return {.tokens = tokens,
          .sequences = 8,
          .cols = cols,
          .rows = rows,
          .heads = 8,
          .head_dim = 128,
          .context = 256,
          .logit_rows = tokens,
          .workers = 2};
}

TEST_P(LlamaCppTables, SumOfAnyTypeAndSize) {
  SCOPED_TRACE(random_.trace());
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_K, DType::kTQ2_0}) {
    for (const int64_t tokens : {1, 2, 5}) {
      const int64_t cols = testing::random_cols(random_, dtype, 600);
      const int64_t rows = random_.between(1, 40);
      const FileMatrix file = FileMatrix::random(random_, dtype, rows, cols);
      const Floats x = Floats::normal(random_, tokens * cols);
      const Floats bias = Floats::normal(random_, rows);
      const Floats residual = Floats::normal(random_, tokens * rows);
      SCOPED_TRACE(::testing::Message() << base::name(dtype) << " " << rows << "x" << cols);
      expect_same_bits([&](const OpTable& table) {
        Bench bench(table, limits_of(tokens, rows, cols));
        const PackedWeight packed(table, file);
        Floats y(tokens * rows);
        table.linear_for(dtype).run(bench.context(), {.weight = packed.matrix(),
                                                      .x = x.data(),
                                                      .bias = bias.data(),
                                                      .residual = residual.data(),
                                                      .y = y.data(),
                                                      .tokens = tokens});
        return y;
      });
    }
  }
}

TEST_P(LlamaCppTables, NormOfRows) {
  SCOPED_TRACE(random_.trace());
  for (const int64_t cols : {1, 64, 172, 1000}) {
    const Floats x = Floats::normal(random_, 3 * cols), weight = Floats::normal(random_, cols);
    expect_same_bits([&](const OpTable& table) {
      Bench bench(table, limits_of(3, 16, cols));
      Floats out(3 * cols);
      table.rms_norm(bench.context(), {x.data(), weight.data(), out.data(), 3, cols, 1e-5f});
      return out;
    });
  }
}

TEST_P(LlamaCppTables, RotationsUpToALastBit) {
  SCOPED_TRACE(random_.trace());
  const Sequences batch(random_,
                        {{.rows = 3, .first_position = 200}, {.rows = 2, .first_position = 0}}, 32);
  for (const std::vector<float>& frequencies : {std::vector<float>{1.0f, 0.1f, 0.01f, 0.001f},
                                                std::vector<float>{1.0f, 0.05f, 0.01f, 0.0f}}) {
    const auto run = [&](const OpTable& table) {
      Bench bench(table, limits_of(5, 16, 16));
      Floats rows(5 * 8);
      table.rope_table(bench.context(), {batch.slices(), frequencies, 2.0f, rows.data()});
      return rows;
    };
    const Floats wanted = run(llama_cpp_ops()), got = run(table());
    for (int64_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 2.5e-7f) << i;
  }
}

/// Sizes of heads below, at and beside whole blocks of sums.
constexpr int32_t kHeadDims[] = {8, 64, 80, 128};

KvLayout layout_of(int32_t head_dim) {
  return {
      .dtype = DType::kF16, .page_tokens = 32, .layers = 2, .kv_heads = 2, .head_dim = head_dim};
}

TEST_P(LlamaCppTables, HeadsAndTheirPages) {
  SCOPED_TRACE(random_.trace());
  constexpr int64_t kHidden = 96, kTokens = 5;
  constexpr int32_t kHeads = 4;
  for (const int32_t head_dim : kHeadDims) {
    const KvLayout layout = layout_of(head_dim);
    const Sequences batch(
        random_,
        {{.rows = 1, .first_position = 40, .decodes = true}, {.rows = 4, .first_position = 30}},
        32);
    const auto matrix = [&](int32_t heads) {
      return FileMatrix::random(random_, DType::kF32, int64_t{heads} * head_dim, kHidden);
    };
    const FileMatrix q = matrix(kHeads), k = matrix(2), v = matrix(2);
    const Floats x = Floats::normal(random_, kTokens * kHidden);
    const Floats norm = Floats::normal(random_, kHidden),
                 k_norm = Floats::normal(random_, head_dim);
    const Floats rope = Floats::normal(random_, kTokens * head_dim);
    std::vector<float> pages[2];
    int runs = 0;
    expect_same_bits([&](const OpTable& table) {
      Bench bench(table, limits_of(kTokens, kHeads * head_dim, kHidden));
      const PackedWeight wq(table, q), wk(table, k), wv(table, v);
      Pages cache(layout, batch.pages());
      Floats out(kTokens * kHeads * head_dim);
      table.qkv_rope(bench.context(), {.x = x.data(),
                                       .norm_weight = norm.data(),
                                       .wq = wq.matrix(),
                                       .wk = wk.matrix(),
                                       .wv = wv.matrix(),
                                       .k_norm = k_norm.data(),
                                       .rope_table = rope.data(),
                                       .rope_dims = head_dim,
                                       .rope_style = RopeStyle::kInterleaved,
                                       .heads = kHeads,
                                       .sequences = batch.slices(),
                                       .kv = cache.cache(),
                                       .layer = 1,
                                       .q = out.data(),
                                       .tokens = kTokens});
      pages[runs++] = cache.elements();
      return out;
    });
    EXPECT_TRUE(same_bits(pages[1], pages[0])) << head_dim;
  }
}

TEST_P(LlamaCppTables, AttentionUpToRoundings) {
  SCOPED_TRACE(random_.trace());
  constexpr int32_t kHeads = 4;
  constexpr float kOfF16 = 8e-3f;  // a power's last bit rounds some sum to another f16, and again
  for (const int32_t head_dim : kHeadDims) {
    const Sequences batch(
        random_,
        {{.rows = 1, .first_position = 70, .decodes = true}, {.rows = 4, .first_position = 30}},
        32);
    Pages cache(layout_of(head_dim), batch.pages());
    cache.fill(random_, batch.slices());
    const Floats q = Floats::normal(random_, int64_t{batch.rows()} * kHeads * head_dim);
    const int32_t window = random_.coin() ? 0 : 20;
    const auto run = [&](const OpTable& table) {
      Bench bench(table, limits_of(batch.rows(), kHeads * head_dim, kHeads * head_dim));
      Floats out(q.size());
      table.attention(bench.context(), {.q = q.data(),
                                        .out = out.data(),
                                        .sequences = batch.slices(),
                                        .kv = cache.cache(),
                                        .layer = 1,
                                        .heads = kHeads,
                                        .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                        .window = window,
                                        .soft_cap = head_dim == 80 ? 2.0f : 0.0f});
      return out;
    };
    const Floats wanted = run(llama_cpp_ops()), got = run(table());
    EXPECT_THAT(got.span(), ::testing::Pointwise(::testing::FloatNear(kOfF16), wanted.span()));
  }
}

TEST_P(LlamaCppTables, GateAndUpInWholeGroupsAndBeyond) {
  SCOPED_TRACE(random_.trace());
  constexpr int64_t kHidden = 64;
  for (const int64_t ffn : {32, 172}) {
    const FileMatrix gate = FileMatrix::random(random_, DType::kF32, ffn, kHidden);
    const FileMatrix up = FileMatrix::random(random_, DType::kF32, ffn, kHidden);
    const Floats x = Floats::normal(random_, 3 * kHidden), norm = Floats::normal(random_, kHidden);
    const auto run = [&](const OpTable& table) {
      Bench bench(table, limits_of(3, ffn, kHidden));
      const PackedWeight packed_gate(table, gate), packed_up(table, up);
      Floats out(3 * ffn);
      table.gate_up(bench.context(), {.x = x.data(),
                                      .norm_weight = norm.data(),
                                      .gate = packed_gate.matrix(),
                                      .up = packed_up.matrix(),
                                      .out = out.data(),
                                      .tokens = 3});
      return out;
    };
    const Floats wanted = run(llama_cpp_ops()), got = run(table());
    for (int64_t i = 0; i < wanted.size(); ++i) {
      const bool is_exact = i % ffn < ffn / 16 * 16;
      EXPECT_NEAR(got[i], wanted[i], is_exact ? 0.0f : std::fabs(wanted[i]) * 5e-7f) << i;
    }
  }
}

TEST_P(LlamaCppTables, LogitsOfSomeRows) {
  SCOPED_TRACE(random_.trace());
  constexpr int64_t kHidden = 96, kVocabulary = 50;
  const FileMatrix head = FileMatrix::random(random_, DType::kF32, kVocabulary, kHidden);
  const Floats x = Floats::normal(random_, 4 * kHidden), norm = Floats::normal(random_, kHidden);
  for (const std::vector<int32_t>& rows : {std::vector<int32_t>{2}, std::vector<int32_t>{3, 0}}) {
    expect_same_bits([&](const OpTable& table) {
      Bench bench(table, limits_of(4, kVocabulary, kHidden));
      const PackedWeight packed(table, head);
      Floats out(std::ssize(rows) * kVocabulary);
      table.logits(bench.context(), {.x = x.data(),
                                     .rows = rows,
                                     .norm_weight = norm.data(),
                                     .head = packed.matrix(),
                                     .logits = out.data()});
      return out;
    });
  }
}

}  // namespace
}  // namespace neuros::kernels
