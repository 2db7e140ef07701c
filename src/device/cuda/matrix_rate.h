#pragma once

#include <cuda_runtime.h>

namespace neuros::device {

/// Launches matrix instructions on every multiprocessor, `repeats` of them in each warp group; adds
/// the floating-point operations they are to `operations`.
cudaError_t launch_matrix_load(int repeats, cudaStream_t stream, double& operations);

}  // namespace neuros::device
