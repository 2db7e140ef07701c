#pragma once

/// A named tensor over bytes somebody else owns (a mapped file, usually).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace neuros::base {

/// Row-major extents, slowest first: a linear layer's weight is [rows = out, cols = in].
/// (GGUF files list the same extents fastest first; the reader turns them round.)
using Shape = std::vector<int64_t>;

int64_t element_count(const Shape& shape);
/// "[4096, 128]"
std::string to_string(const Shape& shape);

struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;  ///< exactly bytes_of(dtype, element_count(shape))

  /// Last extent, 1 for a scalar.
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  /// Product of all extents but the last.
  int64_t rows() const { return cols() == 0 ? 0 : element_count(shape) / cols(); }
};

}  // namespace neuros::base
