#pragma once

#include "device/device.h"
#include "kernels/op_table.h"

namespace neuros::kernels::testing {

/// The first GPU, or null where there is none.
device::Device* test_gpu();

/// The CUDA tables as tests want them: each op stages its own arguments and returns when it is
/// done. Null without a GPU.
const OpTable* synchronous_cuda_ops();
const OpTable* synchronous_cuda_llama_cpp_ops();

}  // namespace neuros::kernels::testing
