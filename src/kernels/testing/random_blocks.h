#pragma once

#include "base/dtype.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace neuros::kernels::testing {

/// Blocks of random bytes whose values are all finite: every code and every sub-scale occurs.
std::vector<std::byte> random_blocks(base::DType dtype, int64_t elements, uint32_t seed);

}  // namespace neuros::kernels::testing
