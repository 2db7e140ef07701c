/// Where values lie: random programs, of which no two values that are alive at once may meet.

#include "builder/activation_layout.h"

#include "plan/lifetimes.h"

#include <algorithm>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using plan::Region;
using plan::ValueId;
using plan::ValuePlacement;

/// Segments of ops that read and write random values.
class RandomPrograms {
 public:
  explicit RandomPrograms(uint32_t seed) : random_(seed) {}

  plan::Plan draw() {
    plan::Plan plan;
    plan.limits = {
        .context = 64, .batch_tokens = between(1, 40), .sequences = 1, .logit_rows = between(1, 8)};
    const int32_t values = between(1, 14);
    for (int32_t i = 0; i < values; ++i) {
      plan.program.values.push_back(
          {.name = "value " + std::to_string(i),
           .rows = between(0, 3) == 0 ? plan::Value::Rows::kLogitRows : plan::Value::Rows::kTokens,
           .cols = between(1, 90)});
    }
    const int32_t segments = between(1, 6);
    for (int32_t i = 0; i < segments; ++i) plan.program.segments.push_back(segment(values));
    return plan;
  }

 private:
  int32_t between(int32_t least, int32_t most) {
    return std::uniform_int_distribution<int32_t>(least, most)(random_);
  }
  plan::Segment segment(int32_t values) {
    plan::Segment segment;
    const int32_t ops = between(1, 5);
    for (int32_t i = 0; i < ops; ++i) {
      plan::AttentionOp op;
      op.in = between(0, values - 1);
      op.out = between(0, values - 1);
      segment.ops.emplace_back(op);
    }
    return segment;
  }

  std::mt19937 random_;
};

bool meet(const ValuePlacement& a, const ValuePlacement& b) {
  return a.region == b.region && a.first_op <= b.last_op && b.first_op <= a.last_op &&
         a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

/// Of the region of a value.
int64_t room(const plan::Plan& plan, const ValuePlacement& value) {
  return value.region == Region::kShared ? plan.memory.shared : plan.memory.activations;
}

void expect_sound(const plan::Plan& plan) {
  const std::vector<ValuePlacement>& values = plan.values;
  ASSERT_EQ(values.size(), plan.program.values.size());
  EXPECT_EQ(plan.memory.activations % plan::kWorkAlignment, 0);
  EXPECT_EQ(plan.memory.shared % plan::kWorkAlignment, 0);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_GE(values[i].offset, 0);
    EXPECT_LE(values[i].offset + values[i].bytes, room(plan, values[i]));
    for (size_t other = 0; other < i; ++other) {
      EXPECT_FALSE(meet(values[i], values[other])) << values[i].name << ", " << values[other].name;
    }
  }
}

TEST(ActivationLayout, SharesExactlyWhatNoStepLeavesToTheNext) {
  RandomPrograms programs(7);
  int64_t own = 0, shared = 0;
  for (int i = 0; i < 500; ++i) {
    plan::Plan plan = programs.draw();
    lay_out_activations(plan, Region::kShared);
    expect_sound(plan);
    const std::vector<plan::Lifetime> lifetimes = plan::lifetimes(plan.program);
    for (size_t value = 0; value < lifetimes.size(); ++value) {
      const bool within = lifetimes[value].is_within_steps();
      EXPECT_EQ(plan.values[value].region, within ? Region::kShared : Region::kOwn);
      (within ? shared : own) += 1;
    }
  }
  EXPECT_GT(own, 500);
  EXPECT_GT(shared, 500);
}

TEST(ActivationLayout, GivesAModelAloneOneArenaOfItsOwn) {
  RandomPrograms programs(8);
  for (int i = 0; i < 500; ++i) {
    plan::Plan plan = programs.draw();
    lay_out_activations(plan, Region::kOwn);
    expect_sound(plan);
    EXPECT_EQ(plan.memory.shared, 0);
    int64_t sum = 0;
    for (const ValuePlacement& value : plan.values) {
      EXPECT_EQ(value.region, Region::kOwn);
      sum += value.bytes;
    }
    EXPECT_LE(plan.memory.activations, sum + plan::kWorkAlignment);
  }
}

plan::Op op(ValueId in, ValueId out) {
  plan::AttentionOp attention;
  attention.in = in;
  attention.out = out;
  return attention;
}

TEST(Lifetimes, EndWithAStepWhereTheNextWritesBeforeItReads) {
  plan::Program program;
  program.values.resize(4);
  program.segments = {{.name = "a", .ops = {op(0, 1), op(1, 2)}},
                      {.name = "b", .ops = {op(2, 1), op(1, 0)}}};
  const std::vector<plan::Lifetime> lifetimes = plan::lifetimes(program);
  EXPECT_EQ(lifetimes[1].first_op, 0);
  EXPECT_EQ(lifetimes[1].last_op, 3);
  EXPECT_TRUE(lifetimes[1].is_within_steps()) << "both steps make their own";
  EXPECT_EQ(lifetimes[2].taken_over_by, 1);
  EXPECT_EQ(lifetimes[0].taken_over_by, 0) << "nobody has written it";
  EXPECT_GT(lifetimes[3].first_op, lifetimes[3].last_op) << "nothing touches it";
}

TEST(Lifetimes, OfWhatIsAddedToGoOn) {
  plan::Program program;
  program.values.resize(2);
  plan::LinearResidualOp add;
  add.in = 1;
  add.residual = 0;
  program.segments = {{.name = "a", .ops = {op(1, 0)}}, {.name = "b", .ops = {op(0, 1), add}}};
  EXPECT_EQ(plan::lifetimes(program)[0].taken_over_by, 1);
  program.segments[1].ops = {op(1, 1), add};
  EXPECT_EQ(plan::lifetimes(program)[0].taken_over_by, 1) << "adding reads";
}

}  // namespace
}  // namespace neuros::builder
