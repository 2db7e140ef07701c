/// llama.cpp's arithmetic against the reference: the same results but for rounding. That it is that
/// program's to the bit is what tests/reference_test.cc shows.

#include "kernels/llama_cpp/sums.h"
#include "kernels/op_table.h"
#include "kernels/ref/ops.h"
#include "kernels/testing/bench.h"
#include "kernels/testing/random.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::kernels {
namespace {

using testing::Bench;
using ::testing::FloatNear;
using ::testing::Pointwise;
using testing::Random;

constexpr OpLimits kLimits{.tokens = 4,
                           .sequences = 2,
                           .cols = 172,
                           .rows = 172,
                           .heads = 4,
                           .head_dim = 16,
                           .context = 64,
                           .workers = 2};

PackedMatrix plain(const std::vector<float>& values, int64_t cols) {
  return {base::DType::kF32, std::ssize(values) / cols, cols,
          reinterpret_cast<const std::byte*>(values.data())};
}

std::vector<float> floats(Random& random, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = random.normal(1.0f);
  return values;
}

TEST(LlamaCpp, SumsEveryProduct) {
  Random random;
  SCOPED_TRACE(random.trace());
  for (const size_t size : {1, 12, 16, 63, 64, 172, 256}) {
    const std::vector<float> a = floats(random, size), b = floats(random, size);
    const auto exact = static_cast<float>(ref::dot(a, b.data()));
    EXPECT_NEAR(llama_cpp::dot(a, b.data()), exact, 1e-4f) << size;
    if (size % 16 != 0) continue;
    EXPECT_NEAR(llama_cpp::dot_in_batch(a, b.data()), exact, 1e-4f) << size;
  }
}

TEST(LlamaCpp, LinearOfOneTokenAndOfSeveral) {
  Random random;
  SCOPED_TRACE(random.trace());
  const std::vector<float> weight = floats(random, 8 * 48), x = floats(random, 3 * 48);
  const std::vector<float> bias = floats(random, 8);
  for (const int64_t tokens : {1, 3}) {
    std::vector<std::vector<float>> results;
    for (const OpTable* table : {&llama_cpp_ops(), &ref_ops()}) {
      Bench bench(*table, kLimits);
      std::vector<float> y(static_cast<size_t>(8 * tokens), 1.0f);
      table->linear_for(base::DType::kF32)
          .run(bench.context(), {.weight = plain(weight, 48),
                                 .x = x.data(),
                                 .bias = bias.data(),
                                 .residual = y.data(),
                                 .y = y.data(),
                                 .tokens = tokens});
      results.push_back(y);
    }
    EXPECT_THAT(results[0], Pointwise(FloatNear(1e-4f), results[1])) << tokens;
  }
}

TEST(LlamaCpp, RopeTableWithAndWithoutScaling) {
  const std::vector<SequenceSlice> sequences{{0, 2, 90, {}}};
  for (const std::vector<float>& frequencies :
       {std::vector<float>{1.0f, 0.1f, 0.01f, 0.001f}, std::vector<float>{1.0f, 0.05f, 0.01f, 0.0f},
        std::vector<float>{0.5f}}) {
    std::vector<std::vector<float>> results;
    for (const OpTable* table : {&llama_cpp_ops(), &ref_ops()}) {
      Bench bench(*table, kLimits);
      std::vector<float> rows(4 * frequencies.size());
      table->rope_table(bench.context(), {sequences, frequencies, 2, rows.data()});
      results.push_back(rows);
    }
    EXPECT_THAT(results[0], Pointwise(FloatNear(1e-5f), results[1])) << frequencies.size();
  }
}

TEST(LlamaCpp, GateUpIsSwigluBeyondTheLastWholeGroup) {
  Random random;
  SCOPED_TRACE(random.trace());
  const std::vector<float> x = floats(random, 2 * 8), norm = floats(random, 8);
  const std::vector<float> gate = floats(random, 20 * 8), up = floats(random, 20 * 8);
  std::vector<std::vector<float>> results;
  for (const OpTable* table : {&llama_cpp_ops(), &ref_ops()}) {
    Bench bench(*table, kLimits);
    std::vector<float> out(2 * 20);
    table->gate_up(bench.context(), {.x = x.data(),
                                     .norm_weight = norm.data(),
                                     .gate = plain(gate, 8),
                                     .up = plain(up, 8),
                                     .out = out.data(),
                                     .tokens = 2});
    results.push_back(out);
  }
  EXPECT_THAT(results[0], Pointwise(FloatNear(1e-4f), results[1]));
}

}  // namespace
}  // namespace neuros::kernels
