#pragma once

/// The row of a product phase, prepared in shared memory by each block for itself: the bits that
/// own_preparation.cuh gives, from elements that come one by one (step_signals.cuh). Everything a
/// block can do before they are there is done in the constructor.

#include "kernels/cuda/step_signals.cuh"

namespace neuros::kernels::cuda {

/// One row as kQ8, kFours times 2048 columns at a time.
template <typename Threads, int kFours>
class StepPreparation {
  using Part = RowPart<kFours>;
  static constexpr int kColumns = 4 * kFours * kBlockThreads;
  static constexpr ActivationKind kKind = ActivationKind::kQ8;

 public:
  __device__ __forceinline__ StepPreparation(const StepRow& row, const SourceRows& source)
      : row_(row),
        source_(source),
        thread_(thread_index()),
        normed_(source.norm_weight != nullptr) {
    source.prefetch_norm(kColumns);
  }

  /// All threads, which are done with what lay at `out`; ends with a barrier. `weight` of the norm
  /// and `asked` are the row's first columns'; `columns`: padded.
  template <int kAsked>
  __device__ __forceinline__ void run(const RowPart<kAsked>& weight, const AskedPart<kAsked>& asked,
                                      const PreparedActivations& out, int columns) const {
    const Part x = await_part<kFours>(row_, 0, thread_, asked);
    const RowFactors factors{.norm = normed_ ? norm_of(x) : 1.0f};
    store(out, 0, columns, x, weight, factors);
#pragma unroll 1
    for (int first = kColumns; first < columns; first += kColumns) {
      Part weight{};
      if (normed_) weight.template load<true>(source_.norm_weight, first, source_.cols, thread_);
      store(out, first, columns, part_at(first), weight, factors);
    }
    Threads::sync();
  }

 private:
  __device__ __forceinline__ Part part_at(int first) const {
    return await_part<kFours>(row_, first, thread_,
                              ask_part<kFours>(row_, first, source_.cols, thread_));
  }

  /// The order of the additions is row_factors()'s. This kind's measure() reads no weights.
  __device__ __forceinline__ float norm_of(const Part& x) const {
    float squares = 0.0f, none = 0.0f;
    measure<kKind>(x, x, true, squares, none);
#pragma unroll 1
    for (int first = kColumns; first < source_.cols; first += kColumns) {
      const Part next = part_at(first);
      measure<kKind>(next, next, true, squares, none);
    }
    return norm_factor(sum_of_block(squares), source_);
  }

  /// Calls are so far apart that the sums of the one before have been read.
  __device__ __forceinline__ float sum_of_block(float sum) const {
    __shared__ float of_warp[kBlockWarps];
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, distance));
    }
    if (thread_ % kLanes == 0) of_warp[thread_ / kLanes] = sum;
    Threads::sync();
    return sum_of_warps(of_warp);
  }

  template <int kWeights>
  __device__ __forceinline__ void store(const PreparedActivations& out, int first, int columns,
                                        const Part& x, const RowPart<kWeights>& weight,
                                        RowFactors factors) const {
    Four values[kFours];
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      values[i] = scaled(x.four[i], weight.four[i], normed_, factors);
    }
    store_part<kKind>(out, 0, first, columns, values, thread_);
  }

  const StepRow& row_;
  const SourceRows& source_;
  int thread_;
  bool normed_;
};

}  // namespace neuros::kernels::cuda
