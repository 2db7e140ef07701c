#pragma once

/// Random weights in fragment panels, and what they stand for: written from the description in
/// kernels/cuda/fragment_layout.h alone, one element at a time, to hold the kernels against.

#include "base/dtype.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace neuros::bench {

struct PackedWeights {
  base::DType dtype = base::DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<std::byte> bytes;

  /// Weights of about 0.05.
  static PackedWeights random(std::mt19937& engine, base::DType dtype, int64_t rows, int64_t cols);
  std::vector<double> row(int64_t index) const;
};

}  // namespace neuros::bench
