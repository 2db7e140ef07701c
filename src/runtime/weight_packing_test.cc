#include "runtime/weight_packing.h"

#include "device/cpu/cpu_device.h"
#include "kernels/quantise.h"
#include "runtime/op_tables.h"
#include "runtime/weights.h"

#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::runtime {
namespace {

using base::DType;
using plan::WeightPlacement;
using testing::HasSubstr;

/// A checkpoint of two F32 tensors, 37 x 32 and 32, and a plan that places them.
struct TwoTensors {
  TwoTensors() : values(37 * 32 + 32) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.5f;
    add("matrix", WeightPlacement::Kind::kMatrix, {37, 32}, 0);
    add("vector", WeightPlacement::Kind::kVector, {32}, 37 * 32);
  }
  void add(const std::string& name, WeightPlacement::Kind kind, base::Shape shape, size_t first) {
    const base::TensorView view{
        DType::kF32, shape,
        std::as_bytes(std::span(values))
            .subspan(first * sizeof(float),
                     static_cast<size_t>(base::element_count(shape)) * sizeof(float))};
    checkpoint.tensors[name] = view;
    const auto bytes = static_cast<int64_t>(view.bytes.size());
    plan.weights.push_back({.name = name,
                            .kind = kind,
                            .dtype = DType::kF32,
                            .rows = view.rows(),
                            .cols = view.cols(),
                            .segment = 0,
                            .offset = plan.memory.weights,
                            .bytes = bytes,
                            .file_bytes = bytes,
                            .kernel = ""});
    plan.memory.weights += bytes;
  }
  base::Result<> load() {
    arena.assign(static_cast<size_t>(plan.memory.weights), std::byte{0});
    const auto device = device::open_cpu_device({.threads = 2, .memory_bytes = 1 << 20});
    const auto stream = (*device)->create_stream();
    return pack_weights(plan, checkpoint, kernels::ref_ops(), {**device, **stream, arena},
                        [this](const LoadProgress& progress) {
                          heard.push_back(progress);
                          return answer;
                        });
  }

  std::vector<float> values;
  formats::Checkpoint checkpoint;
  plan::Plan plan;
  std::vector<std::byte> arena;
  std::vector<LoadProgress> heard;
  base::Result<> answer;  ///< to what is heard
};

TEST(PackWeights, PacksMatricesAndVectorsWhereThePlanSays) {
  TwoTensors two;
  const auto loaded = two.load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  const WeightMap weights(two.plan, two.arena);
  const float* vector = weights.vector({"vector", {32}});
  EXPECT_EQ(std::vector<float>(vector, vector + 32),
            std::vector<float>(two.values.end() - 32, two.values.end()));
  const kernels::PackedMatrix matrix = weights.matrix({"matrix", {37, 32}});
  std::vector<float> row(32);
  for (const int64_t i : {0, 15, 16, 36}) {
    kernels::ref_ops().linear_for(DType::kF32).unpack_row(matrix, i, row.data());
    EXPECT_EQ(std::memcmp(row.data(), two.values.data() + i * 32, 32 * sizeof(float)), 0) << i;
  }
  EXPECT_EQ(weights.vector({}), nullptr);
  ASSERT_EQ(two.heard.size(), 2U);
  EXPECT_EQ(two.heard.back().done_bytes, two.heard.back().total_bytes);
}

TEST(PackWeights, QuantisesWhereThePlanHasAnotherTypeThanTheFile) {
  TwoTensors two;
  const kernels::LinearKernel& kernel = kernels::ref_ops().linear_for(DType::kQ8_0);
  two.plan.weights[0].dtype = DType::kQ8_0;
  two.plan.weights[0].bytes = kernel.packed_bytes(37, 32);
  const auto loaded = two.load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  const WeightMap weights(two.plan, two.arena);
  const kernels::PackedMatrix matrix = weights.matrix({"matrix", {37, 32}});
  std::vector<std::byte> block(static_cast<size_t>(base::bytes_of(DType::kQ8_0, 32)));
  std::vector<float> row(32), expected(32);
  for (size_t i = 0; i < 37; ++i) {
    kernels::quantise(DType::kQ8_0, std::span(two.values).subspan(i * 32, 32), {}, block.data());
    kernels::dequantise(DType::kQ8_0, block.data(), expected);
    kernel.unpack_row(matrix, static_cast<int64_t>(i), row.data());
    EXPECT_EQ(row, expected) << i;
  }
}

TEST(PackWeights, EndsWithTheErrorOfWhoListens) {
  TwoTensors two;
  two.answer = base::fail("stopped", base::ErrorKind::kCancelled);
  EXPECT_EQ(two.load().error().kind, base::ErrorKind::kCancelled);
  EXPECT_EQ(two.heard.size(), 1U) << "and packs no more";
}

TEST(PackWeights, RefusesACheckpointOfAnotherShape) {
  TwoTensors two;
  two.checkpoint.path = "two.gguf";
  two.plan.weights[0].rows = 36;
  EXPECT_EQ(two.load().error().message,
            "two.gguf: tensor matrix: f32 [37, 32], the plan expects f32 [36, 32]");
  two.checkpoint.tensors.erase("matrix");
  EXPECT_EQ(two.load().error().kind, base::ErrorKind::kNotFound);
}

TEST(PackWeights, RefusesAPlaceOutsideTheArena) {
  TwoTensors two;
  two.plan.memory.weights -= 64;
  EXPECT_THAT(two.load().error().message, HasSubstr("tensor vector: placed at"));
  two.plan.memory.weights += 64;
  two.plan.weights[0].offset = 32;
  EXPECT_THAT(two.load().error().message, HasSubstr("tensor matrix: placed at 32"));
}

TEST(PackWeights, RefusesATypeWithoutAKernel) {
  TwoTensors two;
  std::vector<int32_t> numbers(32);
  two.checkpoint.tensors["matrix"] = {DType::kI32, {1, 32}, std::as_bytes(std::span(numbers))};
  two.plan.weights[0].dtype = DType::kI32;
  two.plan.weights[0].file_dtype = DType::kI32;
  two.plan.weights[0].rows = 1;
  two.plan.weights[0].file_bytes = 128;
  EXPECT_THAT(two.load().error().message, HasSubstr("ref has no kernel for type i32"));
}

TEST(FindOpTable, KnowsTheReferenceAndNothingUnheardOf) {
  EXPECT_EQ(find_op_table("ref"), &kernels::ref_ops());
  EXPECT_EQ(find_op_table("abacus"), nullptr);
}

}  // namespace
}  // namespace neuros::runtime
