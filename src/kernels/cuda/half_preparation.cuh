#pragma once

/// OwnPreparation for a block of 256 threads: each does the work of two of the 512, `thread` and
/// `thread` + 256, so that the bits are the same.

#include "kernels/cuda/prepare.cuh"

namespace neuros::kernels::cuda {

template <ActivationKind kKind>
class HalfPreparation {
 public:
  __device__ explicit HalfPreparation(const SourceRows& source)
      : source_(source), normed_(source.norm_weight != nullptr) {
    if (normed_) load(source.norm_weight, 0, weight_);
    source.prefetch_norm(kColumns, kBlockThreads / kCount);
  }

  /// All tokens; ends with a barrier.
  __device__ void run(const PreparedActivations& out, int tokens, int columns) const {
    for (int token = 0; token < tokens; ++token) {
      const float* row = source_.row(token);
      Part x[kCount];
      load(row, 0, x);
      const RowFactors factors = row_factors(row, x);
      if (kKind == ActivationKind::kF16 && threadIdx.x == 0) {
        out.scales[token] = inverse_power(factors.scale);
      }
      store(out, token, 0, columns, x, weight_, factors);
#pragma unroll 1
      for (int first = kColumns; first < columns; first += kColumns) {
        Part weight[kCount]{};
        load(row, first, x);
        if (normed_) load(source_.norm_weight, first, weight);
        store(out, token, first, columns, x, weight, factors);
      }
    }
    WholeBlock::sync();
  }

 private:
  static constexpr int kCount = 2;
  using Part = RowPart<kPartFours / kCount>;
  static constexpr int kColumns = kWideColumns / kCount;  ///< of a Part of all 512

  static __device__ __forceinline__ int thread(int i) {
    return static_cast<int>(threadIdx.x) + i * (kBlockThreads / kCount);
  }

  __device__ __forceinline__ void load(const float* row, int first, Part (&parts)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) parts[i].load(row, first, source_.cols, thread(i));
  }

  /// row_factors() of prepare.cuh.
  __device__ __forceinline__ RowFactors row_factors(const float* row,
                                                    const Part (&x)[kCount]) const {
    RowFactors factors;
    if (!normed_ && kKind != ActivationKind::kF16) return factors;
    float2 own[kCount]{};
    add(x, weight_, own);
#pragma unroll 1
    for (int first = kColumns; first < source_.cols; first += kColumns) {
      Part next_x[kCount], next_weight[kCount]{};
      load(row, first, next_x);
      if (normed_ && kKind == ActivationKind::kF16) load(source_.norm_weight, first, next_weight);
      add(next_x, next_weight, own);
    }
    const float2 all = reduce_threads<WholeBlock>(own);
    if (normed_) factors.norm = norm_factor(all.x, source_);
    if (kKind == ActivationKind::kF16) factors.scale = f16_scale(__fmul_rn(all.y, factors.norm));
    return factors;
  }

  __device__ __forceinline__ void add(const Part (&x)[kCount], const Part (&weight)[kCount],
                                      float2 (&own)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) measure<kKind>(x[i], weight[i], normed_, own[i].x, own[i].y);
  }

  __device__ __forceinline__ void store(const PreparedActivations& out, int token, int first,
                                        int columns, const Part (&x)[kCount],
                                        const Part (&weight)[kCount], RowFactors factors) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      Four values[kPartFours / kCount];
#pragma unroll
      for (int k = 0; k < kPartFours / kCount; ++k) {
        values[k] = scaled(x[i].four[k], weight[i].four[k], normed_, factors);
      }
      store_part<kKind>(out, token, first, columns, values, thread(i));
    }
  }

  const SourceRows& source_;
  bool normed_;
  Part weight_[kCount]{};
};

}  // namespace neuros::kernels::cuda
