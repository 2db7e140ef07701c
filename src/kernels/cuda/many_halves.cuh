#pragma once

/// Decode steps of many sequences on Hopper with 16-bit weights: up to 64 tokens for one reading of
/// the weights. Same products in the same order as decode_kernel.cuh, by wgmma instead of mma: on
/// sm_90 both add the 16 products of a step to a sum alike, so that the bits are the same.
///
/// A tile is up to 16 panels of rows. One, two or four blocks share it, each with all columns, half
/// or a quarter of them (halves_plan.h). In a block a warp feeds a ring whose slots hold 64 columns
/// of weights and tokens, both as wgmma reads them from shared memory; a warpgroup multiplies four
/// panels by all tokens, group of columns after group. What several blocks have of a tile they
/// leave in device memory, that is in L2; the last one adds it. So no block waits for another.
///
/// Bound: weights at the speed of memory, 17 bytes a clock and multiprocessor. Of 64 columns and
/// eight panels, 964 clocks of it, tensor cores take 256, shared memory (operands read, both
/// written) 544; through L2 come half as many bytes again, tokens, which every tile reads anew.

#include "base/check.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/halves_sums.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/ring_place.cuh"

#include <algorithm>

namespace neuros::kernels::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ int first_chunk_of_quarter(const HalvesParameters& p, int quarter) {
  return p.columns.first(p.columns.first_group(quarter));
}

/// A slot of the ring.
class HalvesSlot {
 public:
  __device__ __forceinline__ HalvesSlot(const HalvesShared& shared, uint32_t base)
      : base_(base),
        slot_bytes_(static_cast<uint32_t>(shared.slot_bytes)),
        slots_(static_cast<uint32_t>(shared.slots)) {}

  static __device__ __forceinline__ void init(const HalvesShared& shared, uint32_t base,
                                              uint32_t readers) {
    HalvesSlot slot(shared, base);
    for (int i = 0; i < shared.slots; ++i, slot.advance()) {
      hopper::init_barrier(slot.full(), 1);
      hopper::init_barrier(slot.empty(), readers);
    }
  }

  __device__ __forceinline__ uint32_t address() const {
    return base_ + HalvesShared::kRing + index_ * slot_bytes_;
  }
  __device__ __forceinline__ uint32_t full() const { return base_ + index_ * 16; }
  __device__ __forceinline__ uint32_t empty() const { return full() + 8; }
  __device__ __forceinline__ void wait_full() const { hopper::wait(full(), phase_); }
  /// Passes at once on the first round.
  __device__ __forceinline__ void wait_empty() const { hopper::wait(empty(), phase_ ^ 1); }
  __device__ __forceinline__ void advance() {
    if (++index_ < slots_) return;
    index_ = 0;
    phase_ ^= 1;
  }

 private:
  uint32_t base_, slot_bytes_, slots_;
  uint32_t index_ = 0, phase_ = 0;
};

/// The warp that feeds: each of its first lanes copies a panel, the first one the tokens too.
class HalvesFeed {
 public:
  __device__ __forceinline__ HalvesFeed(const HalvesParameters& p, uint32_t base)
      : p_(p),
        part_(p),
        slot_(p.shared, base),
        ahead_(slot_),
        first_(first_chunk_of_quarter(p, part_.first_quarter())),
        end_(first_chunk_of_quarter(p, part_.end_quarter())) {}

  __device__ __forceinline__ void run() {
    start();
    for (int tile = part_.first_tile; tile < p_.tiles; tile += part_.tile_step) {
      enter(tile);
      const int begin = tile == part_.first_tile ? first_ + started_ : first_;
      for (int chunk = begin; chunk < end_; ++chunk, slot_.advance()) {
        slot_.wait_empty();
        fill_weights(slot_, chunk);
        fill_tokens(slot_, chunk);
      }
    }
  }

 private:
  /// Fills the ring. Nobody writes weights: they need not wait for the kernels before.
  __device__ __forceinline__ void start() {
    enter(part_.first_tile);
    started_ = min(end_ - first_, p_.shared.slots);
    for (int i = 0; i < started_; ++i, ahead_.advance()) fill_weights(ahead_, first_ + i);
    wait_for_previous();
    hopper::order_bulk_reads();
    for (int i = 0; i < started_; ++i, slot_.advance()) fill_tokens(slot_, first_ + i);
  }
  __device__ __forceinline__ void enter(int tile) {
    const int lane = static_cast<int>(threadIdx.x) % kLanes, of_pass = p_.plan.panels;
    const int first = tile * of_pass, panels = min(of_pass, p_.of.panels - first);
    const int pass = lane / of_pass, panel = lane % of_pass;
    copies_ = pass < p_.of.passes && panel < panels;
    if (copies_) {
      const TaskPanel at = task_panel(p_.of, pass, first + panel);
      panel_ = p_.of.tasks[at.task].weight + at.panel * p_.of.panel_bytes;
    }
    bytes_ =
        static_cast<uint32_t>(panels * p_.of.passes * kHalfChunkBytes + p_.of.prepared.piece_bytes);
  }
  __device__ __forceinline__ void fill_weights(const HalvesSlot& slot, int chunk) const {
    const auto lane = static_cast<uint32_t>(threadIdx.x) % kLanes;
    if (lane == 0) hopper::arrive_and_expect(slot.full(), bytes_);
    __syncwarp();
    if (!copies_) return;
    hopper::bulk_copy(slot.address() + lane * kHalfChunkBytes,
                      panel_ + static_cast<int64_t>(chunk) * kHalfChunkBytes, kHalfChunkBytes,
                      slot.full(), hopper::evict_first_policy());
  }
  __device__ __forceinline__ void fill_tokens(const HalvesSlot& slot, int chunk) const {
    if (threadIdx.x % kLanes != 0) return;
    const int64_t bytes = p_.of.prepared.piece_bytes;
    hopper::bulk_copy(slot.address() + static_cast<uint32_t>(p_.shared.tokens),
                      p_.of.prepared.values + chunk * bytes, static_cast<uint32_t>(bytes),
                      slot.full());
  }

  const HalvesParameters& p_;
  const HalvesPart part_;
  HalvesSlot slot_, ahead_;
  const int first_, end_;  ///< chunks of this block's columns
  int started_ = 0;
  bool copies_ = false;  ///< this lane, of the tile
  const std::byte* panel_ = nullptr;
  uint32_t bytes_ = 0;  ///< of a slot
};

/// The products of a warpgroup.
template <bool kIsBf16>
class HalvesStrip {
 public:
  __device__ __forceinline__ HalvesStrip(const HalvesParameters& p, uint32_t base, int strip)
      : p_(p),
        slot_(p.shared, base),
        weights_(static_cast<uint32_t>(strip) * (kStripPanelsOfHalves * kHalfChunkBytes)) {}

  /// Adds the groups of a quarter.
  __device__ __forceinline__ void multiply_quarter(int quarter, float (&sums)[kStripSums]) {
#pragma unroll
    for (int i = 0; i < kStripSums; ++i) sums[i] = 0.0f;
    const int end = p_.columns.first_group(quarter + 1);
#pragma unroll 1
    for (int group = p_.columns.first_group(quarter); group < end; ++group) {
      float of_group[kStripSums];
      multiply_group(group, of_group);
#pragma unroll
      for (int i = 0; i < kStripSums; ++i) sums[i] = __fadd_rn(sums[i], of_group[i]);
    }
  }

 private:
  /// A chunk's products run while the next one's are issued; once they are done its slot is free.
  __device__ __forceinline__ void multiply_group(int group, float (&sums)[kStripSums]) {
#pragma unroll
    for (int i = 0; i < kStripSums; ++i) sums[i] = 0.0f;
    const int end = p_.columns.first(group + 1);
    uint32_t previous = 0;
#pragma unroll 1
    for (int chunk = p_.columns.first(group); chunk < end; ++chunk) {
      slot_.wait_full();
      multiply_chunk(min(kSteps, p_.of.columns / kHalfStepColumns - chunk * kSteps), sums);
      hopper::wait_for_products<1>();
      if (previous != 0) hopper::release(previous);
      previous = slot_.empty();
      slot_.advance();
    }
    hopper::wait_for_products<0>();
    if (previous != 0) hopper::release(previous);
    hopper::settle(sums);
  }
  __device__ __forceinline__ void multiply_chunk(int steps, float (&sums)[kStripSums]) {
    constexpr int kNextStep = 2 * kHalfPieceBytes >> 4;
    const uint32_t slot = slot_.address();
    const uint64_t weights =
        hopper::packed_operand(slot + weights_, kHalfPieceBytes, kHalfRowsBytes);
    const uint64_t tokens = hopper::packed_operand(slot + static_cast<uint32_t>(p_.shared.tokens),
                                                   kHalfPieceBytes, kHalfRowsBytes);
    const auto multiply_step = [&](int step) {
      hopper::multiply_shared_async<kManyTokens, kIsBf16>(sums, weights + step * kNextStep,
                                                          tokens + step * kNextStep);
    };
    hopper::fence_registers();
    if (steps == kSteps) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) multiply_step(step);
    } else {
#pragma unroll 1
      for (int step = 0; step < steps; ++step) multiply_step(step);
    }
    hopper::commit_products();
  }

  static constexpr int kSteps = kHalfChunkColumns / kHalfStepColumns;

  const HalvesParameters& p_;
  HalvesSlot slot_;
  uint32_t weights_;  ///< of this strip, in a slot
};

template <bool kIsBf16>
__device__ __forceinline__ void multiply_halves(const HalvesParameters& p, std::byte* shared,
                                                HalvesThreads threads) {
  // The same for all lanes, as the compiler can then see.
  const int strip = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 128, 0);
  HalvesStrip<kIsBf16> products(p, hopper::shared_address(shared), strip);
  HalvesSums all(p, shared, threads);
  const HalvesPart part(p);
  wait_for_previous();
#pragma unroll 1
  for (int tile = part.first_tile; tile < p.tiles; tile += part.tile_step) {
#pragma unroll 1
    for (int quarter = part.first_quarter(); quarter < part.end_quarter(); ++quarter) {
      float sums[kStripSums];
      products.multiply_quarter(quarter, sums);
      if (all.add_quarter(tile, quarter, sums)) all.finish(tile, sums);
    }
  }
}

#endif

/// The last warp feeds, the others multiply.
template <bool kIsBf16>
__global__ void __launch_bounds__(kHalvesThreadsMax, 1)
    many_halves_kernel(const __grid_constant__ HalvesParameters p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint4 dynamic_shared[];
  auto* const shared = reinterpret_cast<std::byte*>(dynamic_shared);
  const HalvesThreads threads{static_cast<int>(blockDim.x) - kLanes};
  let_next_start();
  if (threadIdx.x == 0) {
    HalvesSlot::init(p.shared, hopper::shared_address(shared),
                     static_cast<uint32_t>(threads.count / kLanes));
    hopper::publish_barriers();
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= threads.count) {
    HalvesFeed(p, hopper::shared_address(shared)).run();
  } else {
    multiply_halves<kIsBf16>(p, shared, threads);
  }
#endif
}

/// Shared memory that a block leaves to those of small kernels, who can be there before it ends.
inline constexpr int kLeftToNext = 4096;

/// `chosen`: a halves_choice(), or one that is not possible, for the best_halves_plan().
template <bool kIsBf16>
void launch_many_halves(const OpContext& context, const DecodeBatch& batch,
                        const DecodeParameters& of) {
  static Residency residency;
  constexpr auto kKernel = many_halves_kernel<kIsBf16>;
  const int shared_max = device_traits().shared_bytes_max - kLeftToNext;
  const int blocks =
      residency.blocks(reinterpret_cast<const void*>(kKernel), kHalvesThreadsMax, shared_max);
  const HalvesProblem problem{.panels = of.panels,
                              .passes = of.passes,
                              .columns = of.columns,
                              .token_tiles = token_tiles(of.tokens)};
  HalvesParameters p;
  p.of = of;
  if (kIsBf16) p.of.prepared.scales = nullptr;
  p.columns = {.chunks = (of.columns + kHalfChunkColumns - 1) / kHalfChunkColumns,
               .groups = column_groups(of.columns)};
  p.plan = plan_of_choice(batch.choice);
  if (!is_possible(problem, p.plan, blocks)) p.plan = best_halves_plan(problem, blocks);
  p.tiles = halves_tiles(problem, p.plan);
  const int height = p.plan.panels * of.passes;
  p.shared = halves_shared(height, problem.token_tiles, shared_max);
  CHECK(p.shared.slots > 1 && p.shared.end <= shared_max);
  p.left = batch.left;
  p.meetings = batch.meetings;
  const int grid = std::min(blocks / p.plan.split, p.tiles) * p.plan.split;
  launch(context,
         {.grid = dim3(static_cast<unsigned>(grid)),
          .block = dim3(static_cast<unsigned>(halves_warpgroups(height) * 128 + kLanes)),
          .shared_bytes = static_cast<size_t>(shared_max)},
         kKernel, p);
}

}  // namespace neuros::kernels::cuda
