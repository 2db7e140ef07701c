#pragma once

/// The row of a product phase, prepared in shared memory by each block for itself: the bits that
/// own_preparation.cuh gives, from elements that come one by one (step_signals.cuh). Everything a
/// block can do before they are there is done in the constructor; what comes after is short, as all
/// blocks' weights wait for it.

#include "kernels/cuda/step_signals.cuh"

namespace neuros::kernels::cuda {

/// Columns of which a thread has four.
inline constexpr int kRoundColumns = 4 * kBlockThreads;

/// Rounds a thread's columns and leaves them where activations.h says: what it has of the next
/// kRoundColumns columns lies as far from what it has of these for all threads.
template <ActivationKind kKind>
class StepRounding {
  static_assert(kKind == ActivationKind::kBF16 || kKind == ActivationKind::kF16);

 public:
  __device__ __forceinline__ explicit StepRounding(const PreparedActivations& row)
      : row_(row.values + thread_index() * kFourBytes) {}

  template <int kCount>
  __device__ __forceinline__ void store(const Four (&values)[kCount], int first,
                                        int columns) const {
    const int left = columns - first - 4 * thread_index();
    std::byte* const at = row_ + first / 4 * kFourBytes;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (left <= i * kRoundColumns) continue;
      *reinterpret_cast<uint2*>(at + i * kBlockThreads * kFourBytes) =
          rounded_four<kKind>(values[i]);
    }
  }

 private:
  static constexpr int kFourBytes = 8;
  std::byte* row_;
};

template <>
class StepRounding<ActivationKind::kQ8> {
 public:
  __device__ __forceinline__ explicit StepRounding(const PreparedActivations& row) {
    const int chunk = thread_index() / kLanes, step = thread_index() / 8 % 4;
    const int quad = thread_index() % 8;
    codes_ = row.values + chunk * kTokenCodeBytes + quad % 4 * 32 + step * 8 + quad / 4 * 4;
    const int scale = stores_sum_of_16()   ? 16 + step * 4 + quad / 4 * 2
                      : stores_sum_of_32() ? 8 + step * 2
                                           : step * 2;
    scales_ = reinterpret_cast<std::byte*>(row.scales + chunk * kPairFloats + scale);
  }

  /// Columns from `first` on, a multiple of kRoundColumns; those from `columns` on are not stored.
  template <int kCount>
  __device__ __forceinline__ void store(const Four (&values)[kCount], int first,
                                        int columns) const {
    static_assert(kTokenCodeBytes == kChunkColumns && kPairFloats * 4 == kChunkColumns);
    RoundedFour rounded[kCount];
    round_fours(values, rounded);
    const int left = columns - first - 4 * thread_index();
    std::byte *const codes = codes_ + first, *const scales = scales_ + first;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int sum = stores_sum_of_16()   ? rounded[i].sum_of_16
                      : stores_sum_of_32() ? rounded[i].sum_of_32
                                           : 1;
      const float scale = __fmul_rn(rounded[i].dx, static_cast<float>(sum));
      if (left <= i * kRoundColumns) continue;
      *reinterpret_cast<uint32_t*>(codes + i * kRoundColumns) = rounded[i].codes;
      *reinterpret_cast<float*>(scales + i * kRoundColumns) = scale;
    }
  }

 private:
  // Every thread stores a scale, as no branch is shorter than that: of the eight of a step the
  // first of each four what its 16 columns need, the third ones the same for 32 columns, the others
  // dx.
  static __device__ __forceinline__ bool stores_sum_of_16() {
    return thread_index() % 4 == 0;
  }
  static __device__ __forceinline__ bool stores_sum_of_32() {
    return thread_index() % 4 == 2;
  }

  std::byte *codes_, *scales_;
};

/// One row, kFours times kRoundColumns columns at a time.
template <ActivationKind kKind, typename Threads, int kFours>
class StepPreparation {
  using Part = RowPart<kFours>;
  static constexpr int kColumns = kFours * kRoundColumns;

 public:
  /// `out`: of tiles of one token.
  __device__ __forceinline__ StepPreparation(const StepRow& row, const SourceRows& source,
                                             const PreparedActivations& out)
      : row_(row), source_(source), rounding_(out), row_scale_(out.scales) {
    source.prefetch_norm(kColumns);
  }

  /// All threads, which are done with what lay at `out`; ends with a barrier. `weight` of the norm
  /// and `asked` are the row's first columns'; `columns`: padded.
  template <int kAsked>
  __device__ __forceinline__ void run(const RowPart<kAsked>& weight, const AskedPart<kAsked>& asked,
                                      int columns) const {
    const Part x = await_part<kFours>(row_, 0, thread_index(), asked);
    if constexpr (kHasRowScale) {
      run_scaled(x, weight, columns);
    } else if (source_.norm_weight == nullptr) {
      run_plain(x, columns);
    } else {
      run_normed(x, weight, columns);
    }
    Threads::sync();
  }

 private:
  static constexpr bool kHasRowScale = kKind == ActivationKind::kF16;
  /// Rows of a few columns have them in one round.
  static constexpr bool kIsOneRound = kFours < kPartFours;

  __device__ __forceinline__ void run_plain(Part x, int columns) const {
#pragma unroll 1
    for (int first = 0;; first += kColumns) {
      const auto asked = ask_after(first);
      store(x.four, first, columns);
      if (kIsOneRound || first + kColumns >= columns) return;
      x = await(first + kColumns, asked);
    }
  }

  template <int kAsked>
  __device__ __forceinline__ void run_normed(Part x, const RowPart<kAsked>& first_weight,
                                             int columns) const {
    const float norm = norm_of(x);
    Part weight = first_of(first_weight);
#pragma unroll 1
    for (int first = 0;; first += kColumns) {
      Four values[kFours];
#pragma unroll
      for (int i = 0; i < kFours; ++i) values[i] = normed(x.four[i], weight.four[i], norm);
      const auto asked = ask_after(first);
      if (!kIsOneRound) load_weight(first + kColumns, weight);
      store(values, first, columns);
      if (kIsOneRound || first + kColumns >= columns) return;
      x = await(first + kColumns, asked);
    }
  }

  /// A row with or without a norm, whose scale depends on all of it.
  template <int kAsked>
  __device__ __forceinline__ void run_scaled(Part x, const RowPart<kAsked>& first_weight,
                                             int columns) const {
    const bool is_normed = source_.norm_weight != nullptr;
    Part weight = first_of(first_weight);
    const RowFactors factors = factors_of(x, weight);
    if (thread_index() == 0) *row_scale_ = inverse_power(factors.scale);
#pragma unroll 1
    for (int first = 0;; first += kColumns) {
      Four values[kFours];
#pragma unroll
      for (int i = 0; i < kFours; ++i) {
        values[i] = scaled(x.four[i], weight.four[i], is_normed, factors);
      }
      store(values, first, columns);
      if (kIsOneRound || first + kColumns >= columns) return;
      if (is_normed) load_weight(first + kColumns, weight);
      x = await(first + kColumns, ask_after(first));
    }
  }

  template <int kAsked>
  static __device__ __forceinline__ Part first_of(const RowPart<kAsked>& part) {
    Part first;
#pragma unroll
    for (int i = 0; i < kFours; ++i) first.four[i] = part.four[i];
    return first;
  }
  __device__ __forceinline__ void load_weight(int first, Part& weight) const {
    weight.template load<true>(source_.norm_weight, first, source_.cols, thread_index());
  }

  /// Asks for the columns that follow those from `first` on: most likely they are there too, and
  /// come while these are rounded.
  __device__ __forceinline__ AskedPart<kFours> ask_after(int first) const {
    if constexpr (kIsOneRound) {
      return {};
    } else {
      return ask_part<kFours>(row_, first + kColumns, source_.cols, thread_index());
    }
  }
  __device__ __forceinline__ Part await(int first, const AskedPart<kFours>& asked) const {
    return await_part<kFours>(row_, first, thread_index(), asked);
  }

  /// What row_factors() gives.
  __device__ __forceinline__ RowFactors factors_of(const Part& x, const Part& weight) const {
    const bool is_normed = source_.norm_weight != nullptr;
    float squares = 0.0f, largest = 0.0f;
    measure<kKind>(x, weight, is_normed, squares, largest);
    if constexpr (!kIsOneRound) {
#pragma unroll 1
      for (int first = 0; first + kColumns < source_.cols; first += kColumns) {
        Part next_weight{};
        if (is_normed) load_weight(first + kColumns, next_weight);
        const Part next = await(first + kColumns, ask_after(first));
        measure<kKind>(next, next_weight, is_normed, squares, largest);
      }
    }
    const float2 all = reduce_block<Threads>(squares, largest);
    RowFactors factors;
    if (is_normed) factors.norm = norm_factor(all.x, source_);
    factors.scale = f16_scale(__fmul_rn(all.y, factors.norm));
    return factors;
  }

  /// Their norm alone, where measure() reads no weights.
  __device__ __forceinline__ float norm_of(const Part& x) const {
    float squares = 0.0f, none = 0.0f;
    measure<kKind>(x, x, true, squares, none);
    if constexpr (!kIsOneRound) {
#pragma unroll 1
      for (int first = 0; first + kColumns < source_.cols; first += kColumns) {
        const Part next = await(first + kColumns, ask_after(first));
        measure<kKind>(next, next, true, squares, none);
      }
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
    if (thread_index() % kLanes == 0) of_warp[thread_index() / kLanes] = sum;
    Threads::sync();
    return sum_of_warps(of_warp);
  }

  /// As scaled() does where the scale is 1.
  static __device__ __forceinline__ Four normed(const Four& x, const Four& weight, float norm) {
    Four out;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      out.at[i] = __fmul_rn(__fmul_rn(x.at[i], norm), weight.at[i]);
    }
    return out;
  }

  /// Two at a time: together they fill the time that each one's chain takes.
  __device__ __forceinline__ void store(const Four (&values)[kFours], int first,
                                        int columns) const {
    constexpr int kAtOnce = kFours < 2 ? kFours : 2;
#pragma unroll
    for (int i = 0; i < kFours; i += kAtOnce) {
      if (i > 0 && first + i * kRoundColumns >= columns) return;
      Four few[kAtOnce];
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) few[k] = values[i + k];
      rounding_.store(few, first + i * kRoundColumns, columns);
    }
  }

  const StepRow& row_;
  const SourceRows& source_;
  StepRounding<kKind> rounding_;
  float* const row_scale_;  ///< kF16
};

}  // namespace neuros::kernels::cuda
