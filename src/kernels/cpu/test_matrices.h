#pragma once

/// Random matrices of every type, and what their products should be, for the tests of this folder.

#include "base/dtype.h"
#include "base/float16.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/activations.h"
#include "kernels/linear.h"
#include "kernels/quantise.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels::cpu {

inline std::vector<float> random_floats(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

/// A matrix as a file has it.
inline std::vector<std::byte> random_matrix(base::DType dtype, int64_t rows, int64_t cols,
                                            uint32_t seed) {
  const std::vector<float> values = random_floats(rows * cols, seed);
  std::vector<std::byte> blocks(static_cast<size_t>(base::bytes_of(dtype, rows * cols)));
  quantise(dtype, values, {}, blocks.data());
  return blocks;
}

inline std::vector<base::DType> weight_dtypes() {
  std::vector<base::DType> all;
  for (int i = 0; i < base::kWeightDTypeCount; ++i) all.push_back(static_cast<base::DType>(i));
  return all;
}

/// A stream with some workers and enough scratch for the sizes of these tests.
struct Workplace {
  explicit Workplace(int threads)
      : device(device::open_cpu_device({.threads = threads}).value()),
        stream(device->create_stream().value()),
        scratch(device->reserve(4 << 20, "scratch").value()),
        context{*stream, scratch.span()} {}

  std::unique_ptr<device::Device> device;
  std::unique_ptr<device::Stream> stream;
  device::Buffer scratch;
  OpContext context;
};

inline OpContext context_of(int threads) {
  static Workplace one(1), two(2), three(3);
  return threads == 1 ? one.context : threads == 2 ? two.context : three.context;
}

/// Memory aligned as packed matrices are.
struct Aligned {
  explicit Aligned(int64_t bytes) : storage(static_cast<size_t>(bytes) + 64) {
    const auto address = reinterpret_cast<uintptr_t>(storage.data());
    data = storage.data() + (64 - address % 64) % 64;
  }
  std::vector<std::byte> storage;
  std::byte* data;
};

struct Matrix {
  Matrix(base::DType dtype, int64_t rows, int64_t cols, const LinearKernel& kernel,
         uint32_t seed = 3)
      : source(random_matrix(dtype, rows, cols, seed)),
        packed(kernel.packed_bytes(rows, cols)),
        values(static_cast<size_t>(rows * cols)),
        view{dtype, rows, cols, packed.data} {
    kernel.pack(source.data(), rows, cols, 0, rows, packed.data);
    dequantise(dtype, source.data(), values);
  }
  std::vector<std::byte> source;
  Aligned packed;
  std::vector<float> values;
  PackedMatrix view;
};

/// What a kernel sees of the activations: the values after rounding to its kind.
inline std::vector<float> as_seen(ActivationKind kind, std::vector<float> x) {
  if (kind == ActivationKind::kF32) return x;
  if (kind == ActivationKind::kBF16) {
    for (float& value : x) value = base::bf16_to_float(base::float_to_bf16(value));
    return x;
  }
  const size_t block = kind == ActivationKind::kBlock32 ? 32 : 256;
  for (size_t start = 0; start < x.size(); start += block) {
    float largest = 0.0f;
    for (size_t i = 0; i < block; ++i) largest = std::max(largest, std::fabs(x[start + i]));
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    for (size_t i = 0; i < block; ++i) {
      x[start + i] = std::nearbyintf(x[start + i] * inverse) * (largest / 127.0f);
    }
  }
  return x;
}

inline void expect_product(const Matrix& matrix, const std::vector<float>& x, int64_t tokens,
                           const std::vector<float>& y, const std::string& what,
                           double tolerance = 4e-6) {
  const int64_t rows = matrix.view.rows, cols = matrix.view.cols;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < cols; ++k) {
        const double product =
            static_cast<double>(matrix.values[static_cast<size_t>(r * cols + k)]) *
            static_cast<double>(x[static_cast<size_t>(t * cols + k)]);
        sum += product;
        magnitude += std::fabs(product);
      }
      ASSERT_NEAR(y[static_cast<size_t>(t * rows + r)], sum, tolerance * magnitude + 1e-6)
          << what << ": token " << t << " of " << tokens << ", row " << r << " of " << rows;
    }
  }
}

}  // namespace neuros::kernels::cpu
