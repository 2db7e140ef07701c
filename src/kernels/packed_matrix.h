#pragma once

#include "base/dtype.h"

#include <cstddef>
#include <cstdint>

namespace neuros::kernels {

/// A weight matrix W of [rows, cols] in the layout LinearKernel::pack gave it; y = W x.
/// Aligned to 64 bytes. Non-owning.
struct PackedMatrix {
  base::DType dtype = base::DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;
};

}  // namespace neuros::kernels
