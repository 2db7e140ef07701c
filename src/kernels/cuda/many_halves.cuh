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
#include "kernels/cuda/decode_task.cuh"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/halves_plan.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/ring_place.cuh"

#include <algorithm>

namespace neuros::kernels::cuda {

struct HalvesParameters {
  DecodeParameters of;
  ManyColumns columns;
  HalvesPlan plan;
  HalvesShared shared;
  int tiles = 0;
  float* left = nullptr;         ///< sums of a block's tile, one block's after another's
  uint32_t* meetings = nullptr;  ///< zeros before and after
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A block's part of the launch.
struct HalvesPart {
  int split, part;  ///< of how many parts of the columns, which one
  int height;       ///< panels of a tile, of both passes
  int first_tile, tile_step;

  __device__ __forceinline__ explicit HalvesPart(const HalvesParameters& p)
      : split(p.plan.split),
        part(static_cast<int>(blockIdx.x) % split),
        height(p.plan.panels * p.of.passes),
        first_tile(static_cast<int>(blockIdx.x) / split),
        tile_step(static_cast<int>(gridDim.x) / split) {}

  /// Quarters of the columns: [first_quarter(), end_quarter()).
  __device__ __forceinline__ int first_quarter() const { return part * kQuarters / split; }
  __device__ __forceinline__ int end_quarter() const { return (part + 1) * kQuarters / split; }

  static constexpr int kQuarters = 4;
};
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

/// What a thread has of 64 rows and 64 tokens: sum 4 n + i is of row lane / 4 + i / 2 * 8 of its
/// warp's 16 and token 8 n + lane % 4 * 2 + i % 2.
inline constexpr int kStripSums = 32;

/// The threads that multiply.
struct HalvesThreads {
  int count;  ///< whole warpgroups

  __device__ __forceinline__ void sync() const {
    asm volatile("bar.sync 1, %0;" ::"r"(count) : "memory");
  }
};

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
  __device__ __forceinline__ void finish(int token, float4 sums, const Extras& extras) const {
    if (task_.bias != nullptr) sums = added(sums, bias_);
    if (task_.residual != nullptr) sums = added(sums, extras.residual);
    if (extras.is_gated) {
      sums.x = __fmul_rn(silu(extras.gate.x), sums.x);
      sums.y = __fmul_rn(silu(extras.gate.y), sums.y);
      sums.z = __fmul_rn(silu(extras.gate.z), sums.z);
      sums.w = __fmul_rn(silu(extras.gate.w), sums.w);
    }
    float* const y = task_.y + at(token);
    if (is_aligned_) {
      *reinterpret_cast<float4*>(y) = sums;
      return;
    }
    y[0] = sums.x;
    if (count_ > 1) y[1] = sums.y;
    if (count_ > 2) y[2] = sums.z;
    if (count_ > 3) y[3] = sums.w;
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

/// The sums of all warpgroups of a block and what becomes of them.
class HalvesSums {
 public:
  __device__ __forceinline__ HalvesSums(const HalvesParameters& p, std::byte* shared,
                                        HalvesThreads threads)
      : p_(p), part_(p), shared_(shared), threads_(threads) {}

  /// Adds a quarter's sums to those of its half, and these to the other half's. False: there are
  /// more to come, or another block goes on.
  __device__ __forceinline__ bool add_quarter(int tile, int quarter, float (&sums)[kStripSums]) {
    if (part_.split < 4 && quarter % 2 == 0) {
      keep(sums);
      return false;
    }
    if (part_.split < 4) add_kept(sums);
    const int block = static_cast<int>(blockIdx.x);
    if (part_.split > 1) return meet(tile, block, sums);
    if (quarter == 1) {
      leave(left_by(block), sums);
      return false;
    }
    add_left(left_by(block), sums);
    return true;
  }

  /// Writes the results of a tile: by panels, through shared memory.
  __device__ __forceinline__ void finish(int tile, const float (&sums)[kStripSums]) {
    threads_.sync();  // what was kept there has been read
    put_rows(sums);
    threads_.sync();
    const int warps = threads_.count / kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
    const int first = tile * p_.plan.panels, panels = min(p_.plan.panels, p_.of.panels - first);
    const int shares = warps / p_.plan.panels;  // of the tokens
    const int panel = warp % p_.plan.panels, share = warp / p_.plan.panels;
    if (panel < panels && share < shares) finish_panel(first, panel, share, shares);
    threads_.sync();  // before something is kept again
  }

 private:
  static constexpr int kQuads = kStripSums / 4;

  /// Where this thread's sums lie: quad i `threads_.count` quads after quad i - 1.
  __device__ __forceinline__ float4* kept() const {
    return reinterpret_cast<float4*>(shared_ + p_.shared.sums) + threadIdx.x;
  }
  __device__ __forceinline__ float4* left_by(int block) const {
    return reinterpret_cast<float4*>(p_.left) +
           static_cast<int64_t>(block) * (threads_.count * kQuads) + threadIdx.x;
  }

  __device__ __forceinline__ void keep(const float (&sums)[kStripSums]) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) kept()[i * threads_.count] = quad(sums, i);
  }
  __device__ __forceinline__ void add_kept(float (&sums)[kStripSums]) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) add(sums, i, kept()[i * threads_.count]);
  }
  __device__ __forceinline__ void leave(float4* to, const float (&sums)[kStripSums]) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) __stcg(to + i * threads_.count, quad(sums, i));
  }
  __device__ __forceinline__ void add_left(const float4* from, float (&sums)[kStripSums]) const {
    float4 other[kQuads];
#pragma unroll
    for (int i = 0; i < kQuads; ++i) other[i] = __ldcg(from + i * threads_.count);
#pragma unroll
    for (int i = 0; i < kQuads; ++i) add(sums, i, other[i]);
  }
  static __device__ __forceinline__ float4 quad(const float (&sums)[kStripSums], int i) {
    return make_float4(sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]);
  }
  static __device__ __forceinline__ void set(float (&sums)[kStripSums], int i, float4 quad) {
    sums[4 * i] = quad.x, sums[4 * i + 1] = quad.y;
    sums[4 * i + 2] = quad.z, sums[4 * i + 3] = quad.w;
  }
  static __device__ __forceinline__ void add(float (&sums)[kStripSums], int i, float4 other) {
    set(sums, i, added(quad(sums, i), other));
  }

  /// The blocks of a tile leave their sums; the last one adds all, in their order.
  __device__ __forceinline__ bool meet(int tile, int block, float (&sums)[kStripSums]) {
    const auto last = static_cast<uint32_t>(part_.split) - 1;
    uint32_t* const count = p_.meetings + tile;
    leave(left_by(block), sums);
    if (come(count) < last) return false;
    if (threadIdx.x == 0) *count = 0;
    const int first = block - part_.part;
    if (part_.split == 2) {
      add_others<2>(first, sums);
    } else {
      add_others<4>(first, sums);
    }
    return true;
  }
  template <int kSplit>
  __device__ __forceinline__ void add_others(int first, float (&sums)[kStripSums]) const {
    constexpr int kAtOnce = 4;
#pragma unroll
    for (int done = 0; done < kQuads; done += kAtOnce) {
      float4 parts[kSplit][kAtOnce];
#pragma unroll
      for (int i = 0; i < kSplit * kAtOnce; ++i) {
        const int part = i / kAtOnce, at = i % kAtOnce;
        parts[part][at] = __ldcg(left_by(first + part) + (done + at) * threads_.count);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        float4 sum = added(parts[0][i], parts[1][i]);
        if constexpr (kSplit == 4) sum = added(sum, added(parts[2][i], parts[3][i]));
        set(sums, done + i, sum);
      }
    }
  }
  /// How many blocks came before; what they left before can be read then.
  __device__ __forceinline__ uint32_t come(uint32_t* count) const {
    auto* const before = reinterpret_cast<volatile uint32_t*>(shared_ + HalvesShared::kWord);
    threads_.sync();
    if (threadIdx.x == 0) {
      __threadfence();  // of all threads, after the barrier
      *before = atomicAdd(count, 1u);
      __threadfence();
    }
    threads_.sync();
    return *before;
  }

  __device__ __forceinline__ float* row_sums(int token) const {
    return reinterpret_cast<float*>(shared_ + p_.shared.sums) + token * p_.shared.token_floats;
  }
  __device__ __forceinline__ void put_rows(const float (&sums)[kStripSums]) const {
    const int thread = thread_index(), lane = thread % kLanes;
    const int panel = thread / kLanes;  // a warp has one of the strip
    if (panel >= part_.height) return;
#pragma unroll
    for (int i = 0; i < kStripSums; ++i) {
      const int token = i / 4 * kTileTokens + lane % 4 * 2 + i % 2;
      row_sums(token)[panel * kPanelRows + lane / 4 + i % 4 / 2 * 8] = sums[i];
    }
  }

  /// A warp's share of the tokens of panel `panel` of the tile: eight at a time, four rows a lane.
  __device__ __forceinline__ void finish_panel(int first, int panel, int share, int shares) const {
    constexpr int kAtOnce = 4;  // what they need from L2 is under way together
    const int lane = thread_index() % kLanes, in_panel = lane % 4 * 4;
    const TaskPanel at = task_panel(p_.of, p_.of.passes - 1, first + panel);
    const FourRows rows(p_.of.tasks[at.task], at.panel * kPanelRows + in_panel);
    if (rows.is_empty()) return;
    const int place = panel * kPanelRows + in_panel;
    const auto token_of = [&](int i) { return kTileTokens * (share + i * shares) + lane / 4; };
    for (int done = 0; token_of(done) < p_.of.tokens; done += kAtOnce) {
      FourRows::Extras extras[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int token = token_of(done + i);
        if (token < p_.of.tokens) extras[i] = rows.extras(token);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int token = token_of(done + i);
        if (token >= p_.of.tokens) break;
        const float4 sums = scaled(four_sums(token, place), token);
        if (p_.of.passes == 1) {
          rows.finish(token, sums, extras[i]);
        } else {
          const float4 up = four_sums(token, place + p_.plan.panels * kPanelRows);
          rows.finish(token, scaled(up, token), {.gate = sums, .is_gated = true});
        }
      }
    }
  }
  __device__ __forceinline__ float4 four_sums(int token, int place) const {
    return *reinterpret_cast<const float4*>(row_sums(token) + place);
  }
  __device__ __forceinline__ float4 scaled(float4 sums, int token) const {
    if (p_.of.prepared.scales == nullptr) return sums;
    const float scale = __ldcg(p_.of.prepared.scales + token);
    return make_float4(__fmul_rn(sums.x, scale), __fmul_rn(sums.y, scale), __fmul_rn(sums.z, scale),
                       __fmul_rn(sums.w, scale));
  }

  const HalvesParameters& p_;
  const HalvesPart part_;
  std::byte* shared_;
  const HalvesThreads threads_;
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

/// `chosen`: a halves_choice(), or one that is not possible, for the best_halves_plan().
template <bool kIsBf16>
void launch_many_halves(const OpContext& context, const DecodeBatch& batch,
                        const DecodeParameters& of) {
  static Residency residency;
  constexpr auto kKernel = many_halves_kernel<kIsBf16>;
  const int shared_max = device_traits().shared_bytes_max;
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
