#pragma once

/// The row of a product phase, prepared in shared memory by each block for itself: the bits that
/// own_preparation.cuh gives, from elements that come one by one (step_signals.cuh).

#include "kernels/cuda/step_signals.cuh"

namespace neuros::kernels::cuda {

/// One row as kQ8. The norm's weights depend on nothing: they are loaded before the row is there.
template <typename Threads>
class StepPreparation {
 public:
  __device__ __forceinline__ StepPreparation(const StepRow& row, const SourceRows& source)
      : row_(row), source_(source), normed_(source.norm_weight != nullptr) {
    if (normed_) weight_.template load<true>(source.norm_weight, 0, source.cols);
    source.prefetch_norm(kWideColumns);
  }

  /// All threads; ends with a barrier. `columns`: padded.
  __device__ __forceinline__ void run(const PreparedActivations& out, int columns) const {
    WidePart x;
    load_part(row_, 0, source_.cols, x);
    const RowFactors factors = normed_ ? row_factors(x) : RowFactors{};
    store(out, 0, columns, x, weight_, factors);
#pragma unroll 1
    for (int first = kWideColumns; first < columns; first += kWideColumns) {
      WidePart weight{};
      if (normed_) weight.template load<true>(source_.norm_weight, first, source_.cols);
      load_part(row_, first, source_.cols, x);
      store(out, first, columns, x, weight, factors);
    }
    Threads::sync();
  }

 private:
  static constexpr ActivationKind kKind = ActivationKind::kQ8;

  __device__ __forceinline__ RowFactors row_factors(const WidePart& x) const {
    float squares = 0.0f, largest = 0.0f;
    measure<kKind>(x, weight_, true, squares, largest);
#pragma unroll 1
    for (int first = kWideColumns; first < source_.cols; first += kWideColumns) {
      WidePart next;
      load_part(row_, first, source_.cols, next);
      measure<kKind>(next, weight_, true, squares, largest);
    }
    return {.norm = norm_factor(reduce_block<Threads>(squares, largest).x, source_)};
  }

  __device__ __forceinline__ void store(const PreparedActivations& out, int first, int columns,
                                        const WidePart& x, const WidePart& weight,
                                        RowFactors factors) const {
    Four values[kPartFours];
#pragma unroll
    for (int i = 0; i < kPartFours; ++i) {
      values[i] = scaled(x.four[i], weight.four[i], normed_, factors);
    }
    store_part<kKind>(out, 0, first, columns, values);
  }

  const StepRow& row_;
  const SourceRows& source_;
  bool normed_;
  WidePart weight_{};
};

}  // namespace neuros::kernels::cuda
