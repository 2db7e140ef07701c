#pragma once

/// Random matrices of every type for the tests of this folder.

#include "base/dtype.h"
#include "base/float16.h"
#include "kernels/quantise.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

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

}  // namespace neuros::kernels::cpu
