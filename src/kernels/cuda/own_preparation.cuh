#pragma once

/// Activations that the threads of a block prepare for themselves in shared memory.

#include "kernels/cuda/prepare.cuh"

namespace neuros::kernels::cuda {

/// Prepares a few tokens in a block. The norm's weights depend on no kernel: they are loaded before
/// the wait for x. kAligned: rows and weights surely lie on boundaries of 16 bytes.
template <ActivationKind kKind, typename Threads = WholeBlock, bool kAligned = false>
class OwnPreparation {
 public:
  __device__ explicit OwnPreparation(const SourceRows& source)
      : source_(source), normed_(source.norm_weight != nullptr) {
    if (normed_) weight_.template load<kAligned>(source.norm_weight, 0, source.cols);
    source.prefetch_norm(kWideColumns);
  }

  /// All tokens; ends with a barrier.
  __device__ void run(const PreparedActivations& out, int tokens, int columns) const {
    for (int token = 0; token < tokens; ++token) {
      const float* row = source_.row(token);
      WidePart x;
      x.template load<kAligned>(row, 0, source_.cols);
      const RowFactors factors = row_factors<kKind, Threads, kAligned>(source_, row, x, weight_);
      if (kKind == ActivationKind::kF16 && threadIdx.x == 0) {
        out.scales[token] = inverse_power(factors.scale);
      }
      WidePart weight = weight_;
      for (int first = 0; first < columns; first += kWideColumns) {
        WidePart next_x{}, next_weight{};  // on their way while these are rounded
        if (first + kWideColumns < columns) {
          next_x.template load<kAligned>(row, first + kWideColumns, source_.cols);
          if (normed_)
            next_weight.template load<kAligned>(source_.norm_weight, first + kWideColumns,
                                                source_.cols);
        }
        store(out, token, first, columns, x, weight, factors);
        x = next_x;
        weight = next_weight;
      }
    }
    Threads::sync();
  }

 private:
  __device__ __forceinline__ void store(const PreparedActivations& out, int token, int first,
                                        int columns, const WidePart& x, const WidePart& weight,
                                        RowFactors factors) const {
    Four values[kPartFours];
#pragma unroll
    for (int i = 0; i < kPartFours; ++i) {
      values[i] = scaled(x.four[i], weight.four[i], normed_, factors);
    }
    store_part<kKind>(out, token, first, columns, values);
  }

  const SourceRows& source_;
  bool normed_;
  WidePart weight_{};
};

}  // namespace neuros::kernels::cuda
