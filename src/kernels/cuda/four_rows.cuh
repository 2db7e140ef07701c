#pragma once

/// Results of a decode product, four rows of a token at a time.

#include "kernels/cuda/decode_task.cuh"

namespace neuros::kernels::cuda {

__device__ __forceinline__ float4 added(float4 a, float4 b) {
  return make_float4(__fadd_rn(a.x, b.x), __fadd_rn(a.y, b.y), __fadd_rn(a.z, b.z),
                     __fadd_rn(a.w, b.w));
}

/// Four rows of a task one after another, or those of them that there are: finish() of
/// decode_task.cuh.
class FourRows {
 public:
  /// What results take besides their sums.
  struct Extras {
    float4 residual{}, gate{};
    bool is_gated = false;
  };

  __device__ __forceinline__ FourRows(const DecodeTask& task, int row)
      : task_(task),
        row_(row),
        count_(min(4, task.rows - row)),
        is_aligned_(task.rows % 4 == 0 && aligned(task.y) && aligned(task.residual) &&
                    aligned(task.gate)) {
    if (count_ <= 0 || task.bias == nullptr) return;
    bias_ = load(task.bias + row, false);
  }

  __device__ __forceinline__ bool is_empty() const { return count_ <= 0; }
  __device__ __forceinline__ Extras extras(int token) const {
    Extras extras;
    if (task_.residual != nullptr) extras.residual = load(task_.residual + at(token), is_aligned_);
    if (task_.gate != nullptr) extras.gate = load(task_.gate + at(token), is_aligned_);
    extras.is_gated = task_.gate != nullptr;
    return extras;
  }
  __device__ __forceinline__ float4 finished(float4 sums, const Extras& extras) const {
    if (task_.bias != nullptr) sums = added(sums, bias_);
    if (task_.residual != nullptr) sums = added(sums, extras.residual);
    if (extras.is_gated) {
      sums.x = __fmul_rn(silu(extras.gate.x), sums.x);
      sums.y = __fmul_rn(silu(extras.gate.y), sums.y);
      sums.z = __fmul_rn(silu(extras.gate.z), sums.z);
      sums.w = __fmul_rn(silu(extras.gate.w), sums.w);
    }
    return sums;
  }
  __device__ __forceinline__ void store(int token, float4 results) const {
    float* const y = task_.y + at(token);
    if (is_aligned_) {
      *reinterpret_cast<float4*>(y) = results;
      return;
    }
    y[0] = results.x;
    if (count_ > 1) y[1] = results.y;
    if (count_ > 2) y[2] = results.z;
    if (count_ > 3) y[3] = results.w;
  }

 private:
  static __device__ __forceinline__ bool aligned(const float* at) {
    return reinterpret_cast<uintptr_t>(at) % 16 == 0;
  }
  __device__ __forceinline__ int64_t at(int token) const {
    return static_cast<int64_t>(token) * task_.rows + row_;
  }
  /// What other kernels wrote is read past the first-level cache (README.md).
  __device__ __forceinline__ float4 load(const float* from, bool is_aligned) const {
    if (is_aligned) return __ldcg(reinterpret_cast<const float4*>(from));
    float4 out = make_float4(__ldcg(from), 0.0f, 0.0f, 0.0f);
    if (count_ > 1) out.y = __ldcg(from + 1);
    if (count_ > 2) out.z = __ldcg(from + 2);
    if (count_ > 3) out.w = __ldcg(from + 3);
    return out;
  }

  const DecodeTask& task_;
  const int row_, count_;
  const bool is_aligned_;
  float4 bias_{};
};

}  // namespace neuros::kernels::cuda
