#pragma once

#include "base/dtype.h"
#include "device/device.h"

#include <span>
#include <string_view>

namespace neuros::bench {

/// Holds the products of prompt rows against sums in double, for each type on each path, and the
/// rows of batches of every size against each other to the bit. Prints the largest error of each;
/// says whether all are within bounds.
/// `path`: only this value of NEUROS_CUDA_PATH (and "automatic"); empty: all.
bool check_prefill(device::Device& device, std::span<const base::DType> dtypes,
                   std::string_view path);

}  // namespace neuros::bench
