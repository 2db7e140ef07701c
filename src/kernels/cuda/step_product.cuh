#pragma once

/// A product phase of a step: the row prepared by each block for itself, and this block's panels.

#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/own_preparation.cuh"
#include "kernels/cuda/single_token.cuh"
#include "kernels/cuda/step_preparation.cuh"
#include "kernels/cuda/step_ring.cuh"

#include <type_traits>

namespace neuros::kernels::cuda {

/// Units whose sums are kept until they are added: 128 rows, four threads a row. Of gated phases,
/// where two units make a row, twice as many.
inline constexpr int kBatchUnits = 8;
/// Floats from one item's sums to the next: 16 rows, and two so that four threads of a row read
/// from different banks.
inline constexpr int kItemFloats = 18;
inline constexpr int kBatchFloats = kBatchUnits * 16 * kItemFloats;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Items of this warp among those with indices [first, end) of a phase, all of one type. Sums of
/// item i of a batch, 16 rows, to `sums`; the batch's first unit is `first_unit`.
struct ItemRange {
  int first, end;
  int first_unit;
  int chunks;  ///< of a panel
};
/// Where an item's sums go.
__device__ __forceinline__ float* item_sums(const ItemRange& range, const PhaseUnits& phase,
                                            StepItem item, float* sums) {
  const int place = ((item.unit - range.first_unit) << phase.log_groups) + item.group;
  return sums + place * kItemFloats;
}

/// Adds a chunk of this warp's ring.
template <typename Chunk>
__device__ __forceinline__ void multiply_chunk(RingReader& ring, const Chunk& multiplier,
                                               const typename Chunk::Activations& x,
                                               float (&acc)[4]) {
  multiplier.multiply(ring.take(), x, acc);
  ring.release();
}

/// Items of one chunk each, all of the same columns.
template <typename Chunk>
__device__ __forceinline__ void multiply_chunk_items(RingReader& ring, int first, int end,
                                                     int group, const SingleActivations& x,
                                                     float* sums) {
  const Chunk multiplier;
  const typename Chunk::Activations of_chunk = multiplier.activations(multiplier.place(x), group);
  float* of_item = sums + first * kItemFloats + multiplier.row_of_lane();
#pragma unroll 1
  for (int i = first; i < end; i += kStepWarps) {
    float acc[4] = {};
    multiply_chunk(ring, multiplier, of_chunk, acc);
    multiplier.leave(acc, of_item);
    of_item += kStepWarps * kItemFloats;
  }
}

template <typename Chunk>
__device__ __forceinline__ void multiply_items(RingReader& ring, const ItemRange& range,
                                               const PhaseUnits& phase, const SingleActivations& x,
                                               float* sums) {
  const int warp = thread_index() / kLanes;
  const int first = range.first + ((warp - range.first) & (kStepWarps - 1));
  const int groups = 1 << phase.log_groups;
  if (range.chunks == groups) {
    return multiply_chunk_items<Chunk>(ring, first, range.end, warp & (groups - 1), x,
                                       sums - (range.first_unit * groups) * kItemFloats);
  }
  const Chunk multiplier;
  const typename Chunk::Place place = multiplier.place(x);
  const bool is_rotated = rotates(range.chunks, phase.log_groups);
#pragma unroll 1
  for (int i = first; i < range.end; i += kStepWarps) {
    const StepItem item = item_at(phase, i, is_rotated);
    const ChunkRange chunks(range.chunks, item.group, phase.log_groups);
    float acc[4] = {};
#pragma unroll 1
    for (int chunk = chunks.first; chunk < chunks.end; ++chunk) {
      multiply_chunk(ring, multiplier, multiplier.activations(place, chunk), acc);
    }
    multiplier.leave(acc, item_sums(range, phase, item, sums) + multiplier.row_of_lane());
  }
}

template <ActivationKind kKind>
__device__ __forceinline__ void multiply_items(RingReader& ring, base::DType dtype,
                                               const ItemRange& range, const PhaseUnits& phase,
                                               const SingleActivations& x, float* sums) {
  using base::DType;
  if constexpr (kKind != ActivationKind::kQ8) {
    return multiply_items<SingleHalfChunk<kKind>>(ring, range, phase, x, sums);
  }
  switch (dtype) {
#define NEUROS_BLOCKS(type)                                                                      \
  case DType::type:                                                                              \
    return multiply_items<SingleBlockChunk<fragment_format(DType::type)>>(ring, range, phase, x, \
                                                                          sums)
    NEUROS_BLOCKS(kQ4_0);
    NEUROS_BLOCKS(kQ4_1);
    NEUROS_BLOCKS(kQ5_0);
    NEUROS_BLOCKS(kQ5_1);
    NEUROS_BLOCKS(kQ8_0);
    NEUROS_BLOCKS(kQ2_K);
    NEUROS_BLOCKS(kQ3_K);
    NEUROS_BLOCKS(kQ4_K);
    NEUROS_BLOCKS(kQ5_K);
    NEUROS_BLOCKS(kQ6_K);
    NEUROS_BLOCKS(kIQ4_NL);
    NEUROS_BLOCKS(kIQ4_XS);
    NEUROS_BLOCKS(kQ2_0);
    NEUROS_BLOCKS(kQ2_0_128);
    case DType::kTQ1_0:  // packed as TQ2_0 is
      NEUROS_BLOCKS(kTQ2_0);
#undef NEUROS_BLOCKS
    default:
      __trap();
  }
}

/// One result row of a batch: four neighbouring threads, of which each adds a quarter of its
/// groups. It is kept during the products of the batch: no more than three registers of its own.
class RowResult {
 public:
  /// What the row needs beside its sums is asked for before they are there. `words`: the launch's.
  __device__ __forceinline__ RowResult(const StepProduct& product, uint32_t* words,
                                       const PhaseUnits& phase, int first_unit, int units)
      : product_(&product), words_(words) {
    if (unit() >= units) return;
    const PhaseUnits::Place place = phase.place(product, first_unit + unit());
    task_ = product.gated ? 1 : place.task;
    const int row = place.panel * kPanelRows + in_panel();
    if (row >= product.tasks[task_].rows) return;
    row_ = row;
    if (!is_first()) return;
    if (product.tasks[task_].bias != nullptr) bias_ = product.tasks[task_].bias[row];
    if (product.residual_words >= 0) {
      residual_ = ask_word(words + product.residual_words + row);
    } else if (product.residual != nullptr) {
      residual_ = to_word(__ldcg(product.residual + row));
    }
  }

  /// All threads of the warp call it. `row_scale`: of the row that was multiplied, or null.
  __device__ __forceinline__ void finish(const float* sums, int groups,
                                         const float* row_scale) const {
    const auto product_of = [&](int unit) {
      const float product = sum(sums, unit, groups);
      return row_scale == nullptr ? product : __fmul_rn(product, *row_scale);
    };
    if (product_->gated) {
      const float gate = product_of(unit());
      const float up = product_of(unit() + 1);
      write(__fmul_rn(silu(gate), up));
      return;
    }
    float y = product_of(unit());
    if (product_->tasks[task_].bias != nullptr) y = __fadd_rn(y, bias_);
    if (product_->residual != nullptr) y = __fadd_rn(y, residual());
    write(y);
  }

 private:
  __device__ __forceinline__ int in_panel() const { return thread_index() / 4 % kPanelRows; }
  __device__ __forceinline__ int unit() const {
    return thread_index() / 4 / kPanelRows * (product_->gated ? 2 : 1);
  }
  __device__ __forceinline__ bool exists() const { return row_ >= 0; }
  __device__ __forceinline__ bool is_first() const { return thread_index() % 4 == 0; }
  __device__ __forceinline__ bool writes() const { return exists() && is_first(); }

  /// In the order of sum_of_groups().
  __device__ __forceinline__ float sum(const float* sums, int unit, int groups) const {
    float sum = 0.0f;
    if (exists()) {
      const float* of_row = sums + unit * groups * kItemFloats + in_panel();
      const int quarter = thread_index() % 4;
      sum = groups == 16 ? sum_of_quarter(of_row, kItemFloats, 16, quarter)
                         : sum_of_quarter(of_row, kItemFloats, groups, quarter);
    }
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 2));
    return sum;
  }
  __device__ __forceinline__ void write(float y) const {
    if (!writes()) return;
    const StepTask& task = product_->tasks[task_];
    if (task.y_words >= 0) put_word(words_ + task.y_words + row_, y);
    task.y[row_] = y;
  }
  /// All threads of the warp call it.
  __device__ __forceinline__ float residual() const {
    return await_word(words_ + product_->residual_words + row_, writes() ? residual_ : ~0u);
  }

  const StepProduct* product_;
  uint32_t* words_;
  int task_ : 4 = 0;
  int row_ : 28 = -1;
  float bias_ = 0.0f;
  uint32_t residual_ = 0;
};

/// Where the units end that have the type of `unit`.
__device__ __forceinline__ int same_type_end(const StepProduct& product, const PhaseUnits& phase,
                                             int unit, int end) {
  const auto type_of = [&](int u) { return product.tasks[phase.place(product, u).task].dtype; };
  const base::DType dtype = type_of(unit);
  while (++unit < end && type_of(unit) == dtype) {
  }
  return unit;
}

/// Units [first, end) of a batch.
template <ActivationKind kKind>
__device__ __forceinline__ void multiply_batch(const StepProduct& product, const PhaseUnits& phase,
                                               int first, int end, RingReader& ring,
                                               const SingleActivations& x, float* sums) {
  for (int unit = first; unit < end;) {
    const int next = product.is_mixed ? same_type_end(product, phase, unit, end) : end;
    const StepTask& task = product.tasks[phase.place(product, unit).task];
    const ItemRange range{unit << phase.log_groups, next << phase.log_groups, first, task.chunks};
    multiply_items<kKind>(ring, task.dtype, range, phase, x, sums);
    unit = next;
  }
}

/// Units whose sums are kept together.
__device__ __forceinline__ int batch_units(const StepProduct& product) {
  return product.gated ? 2 * kBatchUnits : kBatchUnits;
}

/// All units of this block; `result`: of the first batch. `sums`: room for two batches,
/// [item][kItemFloats] each, that take turns, or for one of a gated phase. Before the last results
/// are written all threads are done with `x`.
template <ActivationKind kKind>
__device__ __forceinline__ void multiply_units(const StepProduct& product, const PhaseUnits& phase,
                                               uint32_t* words, RowResult result, RingReader& ring,
                                               const SingleActivations& x, float* sums) {
  const float* const row_scale = kKind == ActivationKind::kF16 ? x.scales : nullptr;
  const int step = batch_units(product);
  for (int first = 0, batch = 0;; ++batch) {
    const int end = min(first + step, phase.units);
    float* const of_batch = product.gated ? sums : sums + batch % 2 * kBatchFloats;
    multiply_batch<kKind>(product, phase, first, end, ring, x, of_batch);
    if (end == phase.units) ring.end_phase();
    StepThreads::sync();
    result.finish(of_batch, 1 << phase.log_groups, row_scale);
    first = end;
    if (first >= phase.units) return;
    if (product.gated) StepThreads::sync();
    result = RowResult(product, words, phase, first, min(step, phase.units - first));
  }
}

/// Where a product finds its row and leaves its sums, in shared memory.
struct ProductPlace {
  std::byte* area;
  float* sums;
};

/// Prepares the row in the area and multiplies; `words`: the launch's. `start_next`, which makes
/// the next phases ready, is called when the row has been asked for and is still on its way; a
/// barrier comes after it.
template <ActivationKind kKind, typename StartNext>
__device__ __forceinline__ void run_product(const StepProduct& product, uint32_t* words,
                                            RingReader& ring, ProductPlace place,
                                            StartNext start_next) {
  const PhaseUnits phase(product);
  if (phase.units == 0) {  // it reads nothing: nobody waits for it before writing again
    start_next();
    return StepThreads::sync();
  }
  const StepRow row{product.x, product.x_words < 0 ? nullptr : words + product.x_words};
  WidePart weight{};  // before the row: its registers would wait for those of the row's elements
  if (product.norm_weight != nullptr) {
    weight.load<true>(product.norm_weight, 0, product.cols, thread_index());
  }
  const auto asked = ask_part<kPartFours>(row, 0, product.cols, thread_index());
  const RowResult result(product, words, phase, 0, min(batch_units(product), phase.units));
  const SourceRows source{.x = product.x,
                          .norm_weight = product.norm_weight,
                          .rows = nullptr,
                          .epsilon = product.epsilon,
                          .cols = product.cols};
  const int columns = static_cast<int>(padded_columns(kKind, product.cols));
  const auto value_bytes = static_cast<int>(own_activations(kKind, 1, columns).values);
  const PreparedActivations out{place.area, reinterpret_cast<float*>(place.area + value_bytes), 1,
                                1};
  start_next();
  const auto prepare = [&]<int kFours>(std::integral_constant<int, kFours>) {
    StepPreparation<kKind, StepThreads, kFours>(row, source, out).run(weight, asked, columns);
  };
  if (columns <= kRoundColumns) {
    prepare(std::integral_constant<int, 1>{});
  } else if (columns <= 2 * kRoundColumns) {
    prepare(std::integral_constant<int, 2>{});
  } else {
    prepare(std::integral_constant<int, kPartFours>{});
  }
  multiply_units<kKind>(product, phase, words, result, ring,
                        SingleActivations{out.values, out.scales, columns}, place.sums);
}

#endif

}  // namespace neuros::kernels::cuda
