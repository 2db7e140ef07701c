/// Every engine this processor has, on every weight type, against a plain product in double.

#include "kernels/cpu/engine.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/test_matrices.h"
#include "kernels/op_table.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels::cpu {
namespace {

using base::DType;

std::vector<Engine> engines() {
  const base::CpuFeatures features = base::detect_cpu();
  std::vector<Engine> all;
  for (int e = 0; e <= static_cast<int>(engine_for(features)); ++e) {
    all.push_back(static_cast<Engine>(e));
  }
  return all;
}

class LinearCpu : public testing::TestWithParam<std::tuple<Engine, DType>> {
 protected:
  Engine engine() const { return std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
  LinearKernel kernel() const { return linear_kernel(engine(), dtype()); }
  ActivationKind kind() const { return engine_table(engine()).kind(dtype()); }
  std::string what() const { return kernel().name; }

  std::vector<float> run(const Matrix& matrix, const std::vector<float>& x, int64_t tokens,
                         int threads) const {
    std::vector<float> y(static_cast<size_t>(tokens * matrix.view.rows));
    kernel().run(context_of(threads),
                 {.weight = matrix.view, .x = x.data(), .y = y.data(), .tokens = tokens});
    return y;
  }

  std::vector<int64_t> widths() const {
    const int64_t block = base::info(dtype()).block_elements;
    if (block == 1) return {1, 2, 31, 33, 64, 172};
    return {block, 2 * block, 3 * block};
  }
};

TEST_P(LinearCpu, IsTheProduct) {
  for (int64_t cols : widths()) {
    for (int64_t rows : {1, 16, 50}) {
      const Matrix matrix(dtype(), rows, cols, kernel());
      for (int64_t tokens : {1, 2, 4, 8, 16, 33}) {
        const std::vector<float> x = random_floats(tokens * cols, 11);
        expect_product(matrix, as_seen(kind(), x), tokens, run(matrix, x, tokens, 1),
                       what() + ", " + std::to_string(cols) + " columns");
      }
    }
  }
}

TEST_P(LinearCpu, DoesNotDependOnTheBatchOrTheWorkers) {
  const int64_t rows = 150, cols = base::is_quantised(dtype()) ? 512 : 301;
  const Matrix matrix(dtype(), rows, cols, kernel());
  const std::vector<float> x = random_floats(33 * cols, 5);
  const std::vector<float> all = run(matrix, x, 33, 1);
  EXPECT_EQ(run(matrix, x, 33, 2), all);
  EXPECT_EQ(run(matrix, x, 33, 3), all);
  for (int64_t tokens = 1; tokens < 33; ++tokens) {
    const std::vector<float> some(x.end() - tokens * cols, x.end());
    const std::vector<float> expected(all.end() - tokens * rows, all.end());
    ASSERT_EQ(run(matrix, some, tokens, 1 + static_cast<int>(tokens % 2)), expected)
        << what() << ", " << tokens << " tokens";
  }
}

TEST_P(LinearCpu, AddsBiasAndResidual) {
  const int64_t rows = 37, cols = 256, tokens = 5;
  const Matrix matrix(dtype(), rows, cols, kernel());
  const std::vector<float> x = random_floats(tokens * cols, 5);
  const std::vector<float> bias = random_floats(rows, 6);
  std::vector<float> y = random_floats(tokens * rows, 7);
  std::vector<float> expected = run(matrix, x, tokens, 2);
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = expected[i] + bias[i % static_cast<size_t>(rows)] + y[i];
  }
  kernel().run(context_of(2), {.weight = matrix.view,
                               .x = x.data(),
                               .bias = bias.data(),
                               .residual = y.data(),
                               .y = y.data(),
                               .tokens = tokens});
  EXPECT_EQ(y, expected) << what();
}

TEST_P(LinearCpu, TakesExtremeActivations) {
  const int64_t rows = 16, cols = 512;
  const Matrix matrix(dtype(), rows, cols, kernel());
  std::vector<float> x(static_cast<size_t>(cols), 0.0f);
  expect_product(matrix, x, 1, run(matrix, x, 1, 1), what() + ", zeros");
  for (size_t i = 0; i < x.size(); ++i) x[i] = (i / 3) % 2 == 0 ? 1.0f : -1.0f;
  expect_product(matrix, as_seen(kind(), x), 1, run(matrix, x, 1, 1), what() + ", ones");
}

INSTANTIATE_TEST_SUITE_P(All, LinearCpu,
                         testing::Combine(testing::ValuesIn(engines()),
                                          testing::ValuesIn(weight_dtypes())),
                         [](const auto& test) {
                           std::string text = name(std::get<0>(test.param));
                           std::replace(text.begin(), text.end(), '+', '_');
                           return text + "_" + std::string(base::name(std::get<1>(test.param)));
                         });

class FusedCpu : public testing::TestWithParam<Engine> {};

TEST_P(FusedCpu, TasksOfDifferentTypesOverNormalisedRows) {
  const int64_t cols = 256, tokens = 3;
  const std::vector<float> x = random_floats(8 * cols, 5), weight = random_floats(cols, 6);
  const std::vector<int32_t> rows{6, 0, 3};
  std::vector<float> normalised(static_cast<size_t>(tokens * cols));
  for (int64_t t = 0; t < tokens; ++t) {
    engine_table(GetParam())
        .normalise(x.data() + rows[static_cast<size_t>(t)] * cols, weight.data(), 1e-5f, cols,
                   normalised.data() + t * cols);
  }
  std::vector<Matrix> matrices;
  std::vector<std::vector<float>> outs;
  std::vector<LinearTask> tasks;
  const std::vector<DType> dtypes{DType::kQ4_K, DType::kF16, DType::kQ8_0, DType::kQ6_K};
  for (DType dtype : dtypes)
    matrices.emplace_back(dtype, 70, cols, linear_kernel(GetParam(), dtype));
  outs.resize(dtypes.size(), std::vector<float>(static_cast<size_t>(tokens * 70)));
  for (size_t i = 0; i < dtypes.size(); ++i) {
    tasks.push_back({.weight = matrices[i].view, .y = outs[i].data(), .y_stride = 70});
  }
  const ActivationSource source{
      .x = x.data(), .rows = rows, .norm_weight = weight.data(), .tokens = tokens, .cols = cols};
  linear_tasks(GetParam(), context_of(2), source, tasks);
  for (size_t i = 0; i < dtypes.size(); ++i) {
    const ActivationKind kind = engine_table(GetParam()).kind(dtypes[i]);
    expect_product(matrices[i], as_seen(kind, normalised), tokens, outs[i],
                   std::string(base::name(dtypes[i])));
  }
}

TEST_P(FusedCpu, SwigluOfTwoMatrices) {
  const int64_t cols = 256, rows = 90, tokens = 7;
  const Matrix gate(DType::kQ4_K, rows, cols, linear_kernel(GetParam(), DType::kQ4_K), 1);
  const Matrix up(DType::kQ5_0, rows, cols, linear_kernel(GetParam(), DType::kQ5_0), 2);
  const std::vector<float> x = random_floats(tokens * cols, 5);
  std::vector<float> out(static_cast<size_t>(tokens * rows)), g(out.size()), u(out.size());
  const OpContext context = context_of(2);
  linear_swiglu(GetParam(), context, {.x = x.data(), .tokens = tokens, .cols = cols}, gate.view,
                up.view, out.data());
  linear_kernel(GetParam(), DType::kQ4_K)
      .run(context, {.weight = gate.view, .x = x.data(), .y = g.data(), .tokens = tokens});
  linear_kernel(GetParam(), DType::kQ5_0)
      .run(context, {.weight = up.view, .x = x.data(), .y = u.data(), .tokens = tokens});
  for (size_t i = 0; i < out.size(); ++i) {
    const double expected = g[i] / (1.0 + std::exp(-static_cast<double>(g[i]))) * u[i];
    ASSERT_NEAR(out[i], expected, 1e-6 * std::fabs(expected) + 1e-7) << i;
  }
}

TEST_P(FusedCpu, SwigluOfExtremeValues) {
  std::vector<float> gate{-1e30f, -100.0f, -88.0f, -20.0f, -1e-8f, 0.0f,  20.0f,  100.0f,
                          1e30f,  1.0f,    -1.0f,  0.5f,   3.0f,   88.0f, -87.5f, -50.0f};
  const std::vector<float> before = gate, up(16, 2.0f);
  engine_table(GetParam()).swiglu(gate.data(), up.data(), 16);
  for (size_t i = 0; i < gate.size(); ++i) {
    const double x = before[i];
    const double expected = x / (1.0 + std::exp(-x)) * 2.0;
    EXPECT_NEAR(gate[i], expected, 1e-6 * std::fabs(expected) + 1e-35 * std::fabs(x)) << x;
  }
}

INSTANTIATE_TEST_SUITE_P(All, FusedCpu, testing::ValuesIn(engines()), [](const auto& test) {
  std::string text = name(test.param);
  std::replace(text.begin(), text.end(), '+', '_');
  return text;
});

TEST(CpuOps, OneTableForEachLevel) {
  base::CpuFeatures features = base::detect_cpu();
  EXPECT_EQ(cpu_ops(features).name, std::string("cpu-") + name(engine_for(features)));
  features.level = base::CpuLevel::kGeneric;
  EXPECT_EQ(cpu_ops(features).name, "cpu-generic");
  EXPECT_EQ(&cpu_ops(features), &cpu_ops(features));
  EXPECT_STREQ(cpu_ops(features).linear_for(DType::kQ4_K).name, "generic q4_k r16");
}

}  // namespace
}  // namespace neuros::kernels::cpu
