/// The reference ops on numbers small enough to check by hand.

#include "kernels/op_table.h"
#include "kernels/testing/bench.h"

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using testing::Bench;
using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr OpLimits kLimits{.tokens = 4,
                           .sequences = 2,
                           .cols = 64,
                           .rows = 64,
                           .heads = 4,
                           .head_dim = 16,
                           .context = 64,
                           .workers = 2};

PackedMatrix plain(const std::vector<float>& values, int64_t cols) {
  return {base::DType::kF32, std::ssize(values) / cols, cols,
          reinterpret_cast<const std::byte*>(values.data())};
}

TEST(Ref, EmbedScalesRows) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> table{1, 2, 3, 4};
  const std::vector<int32_t> ids{1, 0, 1};
  std::vector<float> out(6);
  ref_ops().embed(bench.context(),
                  {.table = plain(table, 2), .ids = ids, .out = out.data(), .scale = 10});
  EXPECT_THAT(out, ElementsAre(30, 40, 10, 20, 30, 40));
}

TEST(Ref, LinearAddsBiasAndResidual) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> weight{1, 2, 3, -1, 0, 1}, x{1, 1, 1, 2, 0, 1}, bias{100, 200};
  std::vector<float> y{0.5f, 0.25f, 0, 0};
  ref_ops()
      .linear_for(base::DType::kF32)
      .run(bench.context(), {.weight = plain(weight, 3),
                             .x = x.data(),
                             .bias = bias.data(),
                             .residual = y.data(),
                             .y = y.data(),
                             .tokens = 2});
  EXPECT_THAT(y, ElementsAre(106.5f, 200.25f, 105, 199));
}

TEST(Ref, TopLogitsAreInOrder) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> logits{1, 3, -2, 3, 3 - std::log(4.0f), 0, 0, 0, 0, 5};
  TopLogits top[2];
  ref_ops().top_logits(bench.context(),
                       {.logits = logits.data(), .rows = 2, .vocabulary = 5, .out = top});
  std::vector<int32_t> ids;
  for (const TopLogit& entry : top[0].candidates()) ids.push_back(entry.id);
  EXPECT_THAT(ids, ElementsAre(1, 3, 4, 0, 2));
  EXPECT_EQ(top[0].best[1].logit, 3.0f);
  EXPECT_FLOAT_EQ(top[0].sum, 2.25f + std::exp(-2.0f) + std::exp(-5.0f));
  EXPECT_EQ(top[1].best[0].id, 4);
  EXPECT_EQ(top[1].best[1].id, 0);
}

TEST(Ref, RmsNormDividesByTheRoot) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> x{3, 4, 3, 4}, weight{1, 1, 2, 0};
  std::vector<float> out(4);
  ref_ops().rms_norm(bench.context(), {x.data(), weight.data(), out.data(), 1, 4, 0});
  const float root = std::sqrt(12.5f);
  EXPECT_THAT(out, ElementsAre(3 / root, 4 / root, 6 / root, 0));
}

TEST(Ref, RopeTableCountsPositions) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<SequenceSlice> sequences{{0, 1, 0, {}}, {1, 2, 7, {}}};
  const std::vector<float> frequencies{0.5f};
  std::vector<float> table(6);
  ref_ops().rope_table(bench.context(), {sequences, frequencies, 2, table.data()});
  const auto near = [](double value) { return FloatNear(static_cast<float>(value), 1e-6f); };
  EXPECT_THAT(table, ElementsAre(2, 0, near(2 * std::cos(3.5)), near(2 * std::sin(3.5)),
                                 near(2 * std::cos(4.0)), near(2 * std::sin(4.0))));
}

TEST(Ref, GateUpIsSwiglu) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> x{2, -2}, ones{1, 1}, gate{3, 0}, up{0, -5};
  std::vector<float> out(1);
  ref_ops().gate_up(bench.context(), {.x = x.data(),
                                      .norm_weight = ones.data(),
                                      .epsilon = 0,
                                      .gate = plain(gate, 2),
                                      .up = plain(up, 2),
                                      .out = out.data(),
                                      .tokens = 1});
  EXPECT_THAT(out, ElementsAre(FloatNear(15 / (1 + std::exp(-3.0f)), 1e-5f)));
}

TEST(Ref, LogitsOfChosenRows) {
  Bench bench(ref_ops(), kLimits);
  const std::vector<float> x{1, 1, 2, -2}, weight{1, 3}, head{1, 0, 0, 1, 1, 1};
  const std::vector<int32_t> rows{1};
  std::vector<float> out(3);
  ref_ops().logits(bench.context(), {.x = x.data(),
                                     .rows = rows,
                                     .norm_weight = weight.data(),
                                     .epsilon = 0,
                                     .head = plain(head, 2),
                                     .logits = out.data()});
  EXPECT_THAT(out, ElementsAre(1, -3, -2));
}

/// Projections of one token with identity weights into pages of two heads.
struct OneToken {
  static constexpr int32_t kHeadDim = 4;
  KvLayout layout{base::DType::kF32, 16, 1, 1, kHeadDim};
  std::vector<std::byte> arena;
  std::vector<int32_t> pages{2, 0};
  std::vector<float> q = std::vector<float>(kHeadDim);

  OneToken() : arena(static_cast<size_t>(3 * layout.page_bytes())) {}
  float key(int32_t page, int32_t place, int32_t i) {
    return reinterpret_cast<float*>(cache().keys(page, 0, 0))[layout.key_index(place, i)];
  }
  float value(int32_t page, int32_t place, int32_t i) {
    return reinterpret_cast<float*>(cache().values(page, 0, 0))[layout.value_index(place, i)];
  }
  KvCache cache() { return {layout, arena.data()}; }

  /// Position 17, the rope table a quarter turn for the first pair and none for the second.
  void project(RopeStyle style) {
    Bench bench(ref_ops(), kLimits);
    const std::vector<float> x{1, -1, 1, -1}, ones(4, 1.0f), rope{0, 1, 1, 0};
    const std::vector<float> weight{1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4};
    const SequenceSlice slice{0, 1, 17, pages};
    ref_ops().qkv_rope(bench.context(), {.x = x.data(),
                                         .norm_weight = ones.data(),
                                         .epsilon = 0,
                                         .wq = plain(weight, 4),
                                         .wk = plain(weight, 4),
                                         .wv = plain(weight, 4),
                                         .rope_table = rope.data(),
                                         .rope_dims = 4,
                                         .rope_style = style,
                                         .heads = 1,
                                         .sequences = {&slice, 1},
                                         .kv = cache(),
                                         .q = q.data(),
                                         .tokens = 1});
  }
};

TEST(Ref, QkvRopeRotatesNeighbours) {
  OneToken token;
  token.project(RopeStyle::kInterleaved);  // (1, -2) turned: (2, 1)
  EXPECT_THAT(token.q, ElementsAre(2, 1, 3, -4));
}

TEST(Ref, QkvRopeRotatesHalvesAndStoresInThePagesOfThePosition) {
  OneToken token;
  token.project(RopeStyle::kHalves);  // (1, 3) turned: (-3, 1)
  EXPECT_THAT(token.q, ElementsAre(-3, -2, 1, -4));
  for (int32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(token.key(0, 1, i), token.q[static_cast<size_t>(i)]);
    EXPECT_EQ(token.value(0, 1, i), (std::vector<float>{1, -2, 3, -4})[static_cast<size_t>(i)]);
  }
}

/// Two KV heads of one element, two query heads each; key = 0, value = position (+ 100 for head 1).
class AttentionByHand : public ::testing::Test {
 protected:
  AttentionByHand() : arena_(static_cast<size_t>(2 * layout_.page_bytes())) {
    for (int32_t at = 0; at < 20; ++at) {
      for (int32_t head = 0; head < 2; ++head) {
        const int32_t page = pages_[static_cast<size_t>(at / 16)];
        auto* values = reinterpret_cast<float*>(cache().values(page, 0, head));
        values[layout_.value_index(at % 16, 0)] = static_cast<float>(at + 100 * head);
      }
    }
  }
  KvCache cache() { return {layout_, arena_.data()}; }
  float* key(int32_t at) {
    return reinterpret_cast<float*>(cache().keys(pages_[static_cast<size_t>(at / 16)], 0, 0)) +
           layout_.key_index(at % 16, 0);
  }
  struct Scoring {
    float scale = 1.0f;
    int32_t window = 0;
    float soft_cap = 0.0f;
  };
  std::vector<float> attend(Scoring scoring, int32_t position) {
    Bench bench(ref_ops(), kLimits);
    const std::vector<float> q{1, 1, 1, 1};
    std::vector<float> out(4);
    const SequenceSlice slice{0, 1, position, pages_};
    AttentionArgs args;
    args.scale = scoring.scale;
    args.window = scoring.window;
    args.soft_cap = scoring.soft_cap;
    args.q = q.data();
    args.out = out.data();
    args.sequences = {&slice, 1};
    args.kv = cache();
    args.heads = 4;
    ref_ops().attention(bench.context(), args);
    return out;
  }

  KvLayout layout_{base::DType::kF32, 16, 1, 2, 1};
  std::vector<int32_t> pages_{1, 0};
  std::vector<std::byte> arena_;
};

TEST_F(AttentionByHand, EqualScoresAverageWhatIsVisible) {
  EXPECT_THAT(attend({}, 18), ElementsAre(9, 9, 109, 109));
  EXPECT_THAT(attend({}, 0), ElementsAre(0, 0, 100, 100));
}

TEST_F(AttentionByHand, AWindowCountsItsOwnPosition) {
  EXPECT_THAT(attend({.window = 1}, 18), ElementsAre(18, 18, 118, 118));
  EXPECT_THAT(attend({.window = 5}, 18), ElementsAre(16, 16, 116, 116));
}

TEST_F(AttentionByHand, ScoresAreScaledThenCapped) {
  *key(1) = 8.0f;  // of two positions; score 8 * 0.25 = 2
  const auto weighted = [](double score) {
    return FloatNear(static_cast<float>(std::exp(score) / (1 + std::exp(score))), 1e-6f);
  };
  EXPECT_THAT(attend({.scale = 0.25f}, 1)[0], weighted(2));
  EXPECT_THAT(attend({.scale = 0.25f, .soft_cap = 1.5f}, 1)[0], weighted(1.5 * std::tanh(2 / 1.5)));
}

}  // namespace
}  // namespace neuros::kernels
