#pragma once

#include "device/device.h"
#include "kernels/op_table.h"

namespace neuros::kernels::testing {

/// The first GPU, or null where there is none.
device::Device* test_gpu();

/// The CUDA table as tests want it: each op stages its own arguments and returns when it is done.
/// Null without a GPU.
const OpTable* synchronous_cuda_ops();

}  // namespace neuros::kernels::testing
