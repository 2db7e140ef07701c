#pragma once

#include "kernels/cuda/attention_tile.cuh"

namespace neuros::kernels::cuda {

/// The running softmax of one row, of scores times log2(e). Powers are relative to a reference that
/// only changes when a score exceeds it by more than kSlack, so that former sums are seldom
/// rescaled; weights are at most 2^kSlack. The reference is a whole number.
struct LazySoftmax {
  static constexpr float kSlack = 8.0f;  ///< in powers of two

  float reference = kNoScore;  ///< kNoScore before any score
  float sum = 0.0f;            ///< of this lane's weights

  /// Takes the largest score of a step; returns what former sums shrink by: 1 if they stay. Depends
  /// on the row alone.
  __device__ __forceinline__ float raise(float largest) {
    if (!(largest > reference + kSlack)) return 1.0f;
    const float raised = ceilf(largest);
    const float factor = power_of_two(reference - raised);
    reference = raised;
    sum *= factor;
    return factor;
  }

  /// What powers are relative to.
  __device__ __forceinline__ float base() const { return reference == kNoScore ? 0.0f : reference; }
};

}  // namespace neuros::kernels::cuda
