#pragma once

#include "base/result.h"
#include "base/tensor_view.h"

#include <cstdint>

namespace neuros::formats {

/// Bytes of a tensor whose extents come from a file and are not negative. Fails if a row (the last
/// extent) is not a whole number of blocks or if a product leaves int64; the error names neither
/// format nor tensor.
base::Result<int64_t> tensor_bytes(base::DType dtype, const base::Shape& shape);

}  // namespace neuros::formats
