#pragma once

#include <cuda_runtime.h>

namespace neuros::device {

/// What a matrix instruction multiplies; its sums have 32 bits.
enum class MatrixType { kF16, kBF16, kTF32, kFP8, kInt8 };

/// Whether cards of this compute capability ("90") multiply the type by an instruction.
constexpr bool has_matrix_type(MatrixType type, int compute_capability) {
  if (type == MatrixType::kFP8) return compute_capability >= 89;
  if (type == MatrixType::kBF16 || type == MatrixType::kTF32) return compute_capability >= 80;
  return compute_capability >= 75;
}

/// Launches matrix instructions on every multiprocessor, `repeats` of them in each warp group; adds
/// the operations they are to `operations`.
cudaError_t launch_matrix_load(MatrixType type, int repeats, cudaStream_t stream,
                               double& operations);

}  // namespace neuros::device
