#pragma once

#include "base/dtype.h"
#include "base/tensor_view.h"

#include <span>

namespace neuros::builder {

/// What a matrix of floats loses as `dtype`: squared error over squared values, of a sample of its
/// rows that is the same each time. 0 where it loses nothing, or holds nothing but zeros.
/// `importance` (builder/importance.h, [cols], or empty) weighs the columns, so that it is the
/// error of the matrix's products over those.
double rounding_error(const base::TensorView& matrix, base::DType dtype,
                      std::span<const float> importance = {});

}  // namespace neuros::builder
