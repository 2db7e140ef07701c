#pragma once

#include "base/dtype.h"
#include "kernels/packed_matrix.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda {

/// LinearKernel::pack, packed_bytes and unpack_row of the fragment panels, in the host's memory.
using PackFn = void (*)(const std::byte* source, int64_t rows, int64_t cols, int64_t first,
                        int64_t count, std::byte* packed);
PackFn pack_function(base::DType dtype);
using PackedBytesFn = int64_t (*)(int64_t rows, int64_t cols);
PackedBytesFn packed_bytes_function(base::DType dtype);
void unpack_row(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace neuros::kernels::cuda
