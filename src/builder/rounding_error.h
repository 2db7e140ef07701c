#pragma once

#include "base/dtype.h"
#include "base/tensor_view.h"

namespace neuros::builder {

/// What a matrix of floats loses as `dtype`: squared error over squared values, of a sample of its
/// rows that is the same each time. 0 where it loses nothing, or holds nothing but zeros.
double rounding_error(const base::TensorView& matrix, base::DType dtype);

}  // namespace neuros::builder
