/// The AMX kernels on a model of the tile registers, so that their logic is tested on processors
/// without them: on all that have the vector instructions they share with the VNNI kernels.

#include "base/float16.h"
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/engine.h"
#include "kernels/cpu/iq4_codes.h"
#include "kernels/cpu/panel_layout.h"
#include "kernels/cpu/target.h"
#include "kernels/cpu/test_matrices.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#if defined(__x86_64__)

#include <immintrin.h>

namespace neuros::kernels::cpu {
namespace {

/// Eight tiles of one thread, as the Intel SDM describes the instructions.
struct ModelTiles {
  struct Tile {
    uint8_t bytes[16][64];
  };
  static Tile& at(int tile) {
    static thread_local Tile tiles[8];
    return tiles[tile];
  }
  static TileShapes& shapes() {
    static thread_local TileShapes current;
    return current;
  }
  static int rows(int tile) { return shapes().rows[tile]; }
  static int bytes(int tile) { return shapes().column_bytes[tile]; }

  static void configure(const TileShapes& wanted) {
    shapes() = wanted;
    for (int tile = 0; tile < 8; ++tile) at(tile) = {};
  }
  static void release() { shapes() = {}; }
  template <int tile>
  static void zero() {
    at(tile) = {};
  }
  template <int tile>
  static void load(const void* from, int64_t stride) {
    at(tile) = {};
    for (int r = 0; r < rows(tile); ++r) {
      std::memcpy(at(tile).bytes[r], static_cast<const char*>(from) + r * stride,
                  static_cast<size_t>(bytes(tile)));
    }
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    for (int r = 0; r < rows(tile); ++r) {
      std::memcpy(static_cast<char*>(to) + r * stride, at(tile).bytes[r],
                  static_cast<size_t>(bytes(tile)));
    }
  }
  template <typename T>
  static T get(int tile, int row, int index) {
    T value;
    std::memcpy(&value, at(tile).bytes[row] + static_cast<size_t>(index) * sizeof(T), sizeof(T));
    return value;
  }
  template <typename T>
  static void set(int tile, int row, int index, T value) {
    std::memcpy(at(tile).bytes[row] + static_cast<size_t>(index) * sizeof(T), &value, sizeof(T));
  }
  static void expect_shapes(int c, int a, int b) {
    EXPECT_EQ(rows(c), rows(a));
    EXPECT_EQ(bytes(c), bytes(b));
    EXPECT_EQ(bytes(a), 4 * rows(b));
  }
  template <int c, int a, int b>
  static void dot_int8() {
    expect_shapes(c, a, b);
    for (int m = 0; m < rows(c); ++m) {
      for (int n = 0; n < bytes(c) / 4; ++n) {
        auto sum = get<int32_t>(c, m, n);
        for (int k = 0; k < bytes(a); ++k) {
          sum += get<int8_t>(a, m, k) * get<int8_t>(b, k / 4, 4 * n + k % 4);
        }
        set(c, m, n, sum);
      }
    }
  }
  template <int c, int a, int b>
  static void dot_bf16() {
    expect_shapes(c, a, b);
    for (int m = 0; m < rows(c); ++m) {
      for (int n = 0; n < bytes(c) / 4; ++n) {
        float parts[2] = {};
        for (int k = 0; k < bytes(a) / 2; ++k) {
          parts[k % 2] += base::bf16_to_float(get<uint16_t>(a, m, k)) *
                          base::bf16_to_float(get<uint16_t>(b, k / 2, 2 * n + k % 2));
        }
        set(c, m, n, get<float>(c, m, n) + (parts[0] + parts[1]));
      }
    }
  }
};

}  // namespace
}  // namespace neuros::kernels::cpu

NEUROS_TARGET_BEGIN(NEUROS_TARGET_VNNI)
namespace neuros::kernels::cpu::amx_model {
namespace {

// In this order: each uses the ones before.
// clang-format off
#include "kernels/cpu/simd_avx512-inl.h"
#include "kernels/cpu/simd_vnni-inl.h"
#include "kernels/cpu/linear_tiles-inl.h"
#include "kernels/cpu/linear_blocks-inl.h"
#include "kernels/cpu/linear_amx-inl.h"
#include "kernels/cpu/linear_amx_bf16-inl.h"
#include "kernels/cpu/linear_amx_table-inl.h"
// clang-format on

}  // namespace
}  // namespace neuros::kernels::cpu::amx_model
NEUROS_TARGET_END

namespace neuros::kernels::cpu {
namespace {

using base::DType;

class LinearAmxModel : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (engine_for(base::detect_cpu()) < Engine::kVnniBf16) {
      GTEST_SKIP() << "needs AVX-512 VNNI and BF16";
    }
  }

  std::vector<float> run(const EngineTable& engine, const Matrix& matrix,
                         const std::vector<float>& x, int64_t tokens) const {
    std::vector<float> y(static_cast<size_t>(tokens * matrix.view.rows));
    const LinearTask task{.weight = matrix.view, .y = y.data(), .y_stride = matrix.view.rows};
    linear_tasks_on(engine, context_of(2),
                    {.x = x.data(), .tokens = tokens, .cols = matrix.view.cols}, {&task, 1});
    return y;
  }
};

TEST_P(LinearAmxModel, AgreesWithTheVectorKernels) {
  const DType dtype = GetParam();
  const LinearKernel kernel = linear_kernel(Engine::kVnniBf16, dtype);
  const EngineTable model = amx_model::with_tiles<ModelTiles>(vnni_bf16_engine());
  for (int64_t cols : {256, 768, 864}) {  // 864: less than a step of tiles is left over
    if (cols % base::info(dtype).block_elements != 0) continue;
    const Matrix matrix(dtype, 50, cols, kernel);
    const std::vector<float> x = random_floats(55 * cols, 5);
    const std::vector<float> y = run(model, matrix, x, 55);
    if (dtype == DType::kBF16) {
      expect_product(matrix, as_seen(ActivationKind::kBF16, x), 55, y, "bf16");
    } else {
      EXPECT_EQ(y, run(vnni_bf16_engine(), matrix, x, 55)) << base::name(dtype);
    }
  }
}

TEST_P(LinearAmxModel, DoesNotDependOnTheBatch) {
  const DType dtype = GetParam();
  const EngineTable model = amx_model::with_tiles<ModelTiles>(vnni_bf16_engine());
  const int64_t cols = base::is_quantised(dtype) ? 256 : 301;
  const Matrix matrix(dtype, 85, cols, linear_kernel(Engine::kVnniBf16, dtype));
  const std::vector<float> x = random_floats(35 * cols, 5);
  const std::vector<float> all = run(model, matrix, x, 35);
  for (int64_t tokens = 1; tokens < 35; tokens += 3) {
    const std::vector<float> some(x.end() - tokens * cols, x.end());
    const std::vector<float> expected(all.end() - tokens * 85, all.end());
    ASSERT_EQ(run(model, matrix, some, tokens), expected)
        << base::name(dtype) << ", " << tokens << " tokens";
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, LinearAmxModel, testing::ValuesIn(weight_dtypes()),
                         [](const auto& test) { return std::string(base::name(test.param)); });

}  // namespace
}  // namespace neuros::kernels::cpu

#endif
