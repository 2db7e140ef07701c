#pragma once

/// Tensor maps: how Hopper's copy engine finds boxes of a matrix in device memory (CUDA driver API,
/// "Tensor Map Object Management"; PTX ISA, "Tensors"). Made on the host, passed to kernels by
/// value as __grid_constant__ parameters.

#include <cstdint>

#include <cuda.h>

namespace neuros::kernels::cuda {

/// Boxes of a stack of matrices of 16-bit numbers. In shared memory a box is rows of box_cols
/// elements, in the 128-byte swizzle: rows are then 128 bytes and boxes start at multiples of 1024.
struct TensorBoxes {
  const void* data = nullptr;
  int64_t cols = 0;
  int64_t rows = 1;    ///< of one matrix
  int64_t items = 1;   ///< matrices
  int64_t stride = 0;  ///< elements from one row to the next
  int64_t item_stride = 0;
  int box_cols = 64;
  int box_rows = 0;
  int row_step = 1;  ///< a box has every row_step-th row
};

/// Whether maps can say where these lie: 16 bytes are their unit.
bool can_map(const TensorBoxes& boxes);

/// `rank` 2: all rows of one matrix, coordinates (column, row); 3: (column, row, item). Rows that a
/// box starts before or ends after do not exist: they come as zeros.
CUtensorMap tensor_map(const TensorBoxes& boxes, int rank);

}  // namespace neuros::kernels::cuda
