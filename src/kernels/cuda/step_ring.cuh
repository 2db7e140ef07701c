#pragma once

/// How the weights of a step get to the warps that multiply: through rings of stages in shared
/// memory, which warps of their own fill. Weights depend on nothing: while the other warps wait at
/// the end of a phase, the first stages of the next ones are on their way. Only few instructions of
/// the warps that multiply are about the rings, as all that runs between two phases is fetched
/// anew.
///
/// Four warps have a ring and a warp that feeds it: one for all would not come to an end in time. A
/// stage is a chunk for each of the four; stages lie one behind the other, as long as what is in
/// them.
///
/// No more bytes are on their way than memory needs to be busy: the elements that all blocks wait
/// for between two phases would queue behind them. On an H200 they take 1 to 2 us with 37 KB on
/// their way to each multiprocessor, 3 to 4 us with 180 KB. For the same reason nothing is brought
/// to L2 ahead.
///
/// Work of a phase. A unit is a panel of 16 rows; blocks take panels in turn, and of gated phases
/// the gate's panel and then up's. Units come apart in items, one for each group of columns
/// (column_groups()); warp w of a block has items w, w + 16, ... of the block's. Where groups
/// differ in length they are rotated from unit to unit, so that no warp always has the longer ones.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prepare.cuh"
#include "kernels/cuda/step_program.h"

namespace neuros::kernels::cuda {

inline constexpr int kStepWarps = kBlockWarps;  ///< that multiply
inline constexpr int kStagesMax = 16;           ///< of a ring
inline constexpr int kFeedingWarps = 4;         ///< a warpgroup, which gives registers back as one
/// Warps that have a chunk of a stage.
inline constexpr int kStageWarps = kStepWarps / kFeedingWarps;

/// The threads that multiply, without the feeding warps.
struct StepThreads {
  static __device__ __forceinline__ void sync() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    __syncwarp();  // the barrier counts warps: all lanes come together
    hopper::sync_threads<kBlockThreads>(1);
#endif
  }
};

/// Rings begin here in shared memory; before lies what the threads that multiply share.
inline constexpr int kRingsOffset = 18432;
static_assert(kRingsOffset % 128 == 0);

/// The dynamic shared memory of a block. Functions that are called find their data here by
/// themselves: handed over, addresses would lose that they are of shared memory. It lies on a line
/// of 128 bytes whatever lies before it: copies half a line off cost a tenth of all decode steps.
__device__ __forceinline__ std::byte* shared_bytes() {
  extern __shared__ __align__(128) uint4 dynamic_shared[];
  return reinterpret_cast<std::byte*>(dynamic_shared);
}

/// Where a ring lies in shared memory: 32-bit addresses.
struct StepRing {
  uint32_t bytes;
  uint32_t barriers;  ///< [kStagesMax]{full, empty, ChunkPlace [kStageWarps]}
  uint32_t byte_count;

  static constexpr uint32_t kStageBytes = 2 * 8 + kStageWarps * 4;
  static constexpr int kBarrierBytes = kStagesMax * static_cast<int>(kStageBytes);

  /// Ring `part`, given the first one.
  __device__ __forceinline__ StepRing of_part(int part) const {
    const auto n = static_cast<uint32_t>(part);
    return {bytes + n * byte_count, barriers + n * kBarrierBytes, byte_count};
  }
  __device__ __forceinline__ uint32_t full(uint32_t number) const {
    return barriers + number % kStagesMax * kStageBytes;
  }
  __device__ __forceinline__ uint32_t empty(uint32_t number) const { return full(number) + 8; }
  /// Where warp `in_stage` finds its ChunkPlace.
  __device__ __forceinline__ uint32_t place(uint32_t number, uint32_t in_stage) const {
    return full(number) + 16 + 4 * in_stage;
  }
  /// Of the phase that ends when stage `number` is full, or empty.
  static __device__ __forceinline__ uint32_t parity(uint32_t number) {
    return number / kStagesMax & 1;
  }
};

/// Where a warp's chunk of a stage lies.
struct ChunkPlace {
  uint32_t word = 0;

  static constexpr uint32_t kIsLast = 0x80000000u;
  /// `offset`: in the block's dynamic shared memory. `is_last`: the phase's last stage of the ring.
  __device__ __forceinline__ ChunkPlace(uint32_t offset, bool is_last)
      : word(is_last ? offset | kIsLast : offset) {}
  __device__ __forceinline__ uint32_t offset() const { return word & ~kIsLast; }
  __device__ __forceinline__ bool is_last() const { return (word & kIsLast) != 0; }
};

/// The most bytes of a ring that are on their way where more than one stage is: 40 KB of a
/// multiprocessor, as 4.3 TB/s at a latency of 1.2 us are 39 KB for each of 132; more while those
/// who read have nothing left.
inline constexpr uint32_t kBytesUnderWay = 10000, kBytesUnderWayStarved = 20000;

/// What a block does in a product phase.
struct PhaseUnits {
  int units;           ///< of this block
  int log_groups;      ///< of columns
  int unit_end[2];     ///< of the first and second task
  int first_panel[2];  ///< of the second and third task, among the panels of all

  __device__ __forceinline__ explicit PhaseUnits(const StepProduct& product) {
    const int grid = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const auto units_of = [&](StepShare share) {
      return share.each + (block < share.rest ? 1 : 0);
    };
    log_groups = product.log_groups;
    unit_end[0] = units_of(product.shares[0]);
    unit_end[1] = units_of(product.shares[1]);
    units = units_of(product.shares[2]);
    first_panel[0] = product.shares[0].each * grid + product.shares[0].rest;
    first_panel[1] = product.shares[1].each * grid + product.shares[1].rest;
    if (product.gated) unit_end[0] = unit_end[1] = units = 2 * units;
  }

  struct Place {
    int task, panel;
  };
  __device__ __forceinline__ Place place(const StepProduct& product, int unit) const {
    const int grid = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    if (product.gated) return {unit & 1, block + (unit >> 1) * grid};
    const int panel = block + unit * grid;
    if (unit < unit_end[0]) return {0, panel};
    if (unit < unit_end[1]) return {1, panel - first_panel[0]};
    return {2, panel - first_panel[1]};
  }
  /// Where the task of a unit ends.
  __device__ __forceinline__ int task_end(int unit) const {
    return unit < unit_end[0] ? unit_end[0] : unit < unit_end[1] ? unit_end[1] : units;
  }
};

/// A group of a unit.
struct StepItem {
  int unit, group;
};
/// Whether groups of so many chunks differ in length.
__device__ __forceinline__ bool rotates(int chunks, int log_groups) {
  return (chunks & ((1 << log_groups) - 1)) != 0;
}
__device__ __forceinline__ StepItem item_at(const PhaseUnits& phase, int index, bool rotates) {
  const int unit = index >> phase.log_groups;
  return {unit, (rotates ? index + unit : index) & ((1 << phase.log_groups) - 1)};
}

/// The chunks of a group: [first, end).
struct ChunkRange {
  int first, end;

  __device__ __forceinline__ ChunkRange(int chunks, int group, int log_groups)
      : first((group * chunks) >> log_groups), end(((group + 1) * chunks) >> log_groups) {}
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Items of a warp that have their length and their distances in common: from the last chunk of one
/// to the first one of the item after the next it is `stride` bytes.
struct ItemRun {
  const std::byte* at = nullptr;     ///< the current chunk
  const std::byte* other = nullptr;  ///< the first one of the next item
  int stride = 0;
  int chunk_bytes = 0;
  int item_chunks = 0;
  int left = 0;         ///< chunks of the current item
  uint32_t chunks = 0;  ///< of all items; 0: there are no more

  /// To the next chunk, of which the caller knows that there is one. No branches: the lanes of a
  /// warp have items of different lengths.
  __device__ __forceinline__ void advance() {
    const bool is_inside = left > 1;
    const std::byte* const behind = at + (is_inside ? chunk_bytes : stride);
    at = is_inside ? behind : other;
    other = is_inside ? other : behind;
    left = is_inside ? left - 1 : item_chunks;
  }
};

/// All items of a phase that one warp will multiply, in its order.
class RunSource {
 public:
  /// `warp`: kStepWarps or more has none.
  __device__ __forceinline__ RunSource(const StepProduct& product, const PhaseUnits& units,
                                       int warp)
      : product_(product),
        units_(units),
        index_(warp),
        items_(warp < kStepWarps ? units.units << units.log_groups : 0) {}

  /// The next run of items that have chunks; one without chunks at the end.
  __device__ __forceinline__ ItemRun next() {
    while (index_ < items_) {
      int items = 1;
      const ItemRun run = run_at(items);
      index_ += kStepWarps * items;
      if (run.chunks > 0) return run;
    }
    return {};
  }

 private:
  /// `items`: 1, and then how many it has.
  __device__ __forceinline__ ItemRun run_at(int& items) const {
    const int unit = index_ >> units_.log_groups;
    const PhaseUnits::Place place = units_.place(product_, unit);
    const StepTask& task = product_.tasks[place.task];
    const bool is_rotated = rotates(task.chunks, units_.log_groups);
    const ChunkRange range(task.chunks, item_at(units_, index_, is_rotated).group,
                           units_.log_groups);
    ItemRun run;
    run.chunk_bytes = 16 * task.chunk_units;
    run.left = run.item_chunks = range.end - range.first;
    run.chunks = static_cast<uint32_t>(run.left);
    const int first = range.first * run.chunk_bytes;
    const int panel_bytes = task.chunks * run.chunk_bytes;
    const auto address = [&](const StepTask& of, int panel) {
      return of.weight + static_cast<int64_t>(panel) * panel_bytes + first;
    };
    run.at = address(task, place.panel);
    if (is_rotated || (product_.gated && product_.is_mixed)) return run;
    items += (units_.task_end(unit) - 1 - unit) >> (4 - units_.log_groups);
    if (items == 1) return run;
    run.chunks *= static_cast<uint32_t>(items);
    const int units = kStepWarps >> units_.log_groups;  // from an item to the next
    const PhaseUnits::Place second = units_.place(product_, unit + units);
    run.other = address(product_.tasks[second.task], second.panel);
    const int panels = product_.gated ? units : 2 * units;
    run.stride =
        panels * static_cast<int>(gridDim.x) * panel_bytes - (run.left - 1) * run.chunk_bytes;
    return run;
  }

  const StepProduct& product_;
  const PhaseUnits& units_;
  int index_;
  const int items_;
};

/// The warp that feeds a ring; all lanes call everything. Lane i finds what the ring's warp i
/// multiplies.
class StageFeed {
 public:
  __device__ __forceinline__ StageFeed(const StepRing& ring, int part)
      : ring_(ring),
        shared_start_(hopper::shared_address(shared_bytes())),
        lane_(static_cast<uint32_t>(thread_index() % kLanes)),
        warp_(lane_ < kStageWarps ? part * kStageWarps + static_cast<int>(lane_) : kStepWarps) {}

  /// The stages of a phase, of which this block has units.
  __device__ __forceinline__ void feed(const StepProduct& product, const PhaseUnits& units) {
    RunSource source(product, units, warp_);
    ItemRun run = source.next();
    StageShape shape(run, lane_);
    uint32_t stages = shape.stages;  // of the shape
    for (bool is_last = false; !is_last;) {
      const Chunk chunk{run.at, static_cast<uint32_t>(run.chunk_bytes)};
      const StageShape of_chunk = shape;
      if (--stages > 0) {
        run.advance();
      } else {
        if (run.chunks > of_chunk.stages) {
          run.chunks -= of_chunk.stages;
          run.advance();
        } else {
          run = source.next();
        }
        shape = StageShape(run, lane_);
        stages = shape.stages;
        is_last = shape.bytes == 0;
      }
      put(chunk, of_chunk, is_last);
    }
  }

 private:
  static constexpr uint32_t kAll = 0xffffffffu;

  /// What a lane has copied; of no bytes: nothing.
  struct Chunk {
    const std::byte* from;
    uint32_t bytes;
  };

  /// What stages have in common until the first lane's run ends; at least one, of no bytes if no
  /// lane has a run.
  struct StageShape {
    uint32_t stages;
    uint32_t distance;  ///< the longest
    uint32_t bytes;     ///< of all
    bool is_one;        ///< they lie one behind the other

    __device__ __forceinline__ StageShape(const ItemRun& run, uint32_t lane) {
      const auto of_lane = static_cast<uint32_t>(run.chunk_bytes);
      distance = __reduce_max_sync(kAll, of_lane);
      bytes = __reduce_add_sync(kAll, of_lane);
      stages = bytes > 0 ? __reduce_min_sync(kAll, run.chunks > 0 ? run.chunks : ~0u) : 1;
      // All lanes take part in each exchange.
      const bool follow = follows(run.at, lane), others_follow = follows(run.other, lane);
      const int stride = __shfl_sync(kAll, run.stride, 0);
      const bool fits = run.item_chunks == 1 && of_lane == distance && follow &&
                        (stages == 1 || (others_follow && run.stride == stride));
      is_one = __all_sync(kAll, fits || lane >= kStageWarps);
    }

   private:
    __device__ __forceinline__ bool follows(const std::byte* at, uint32_t lane) const {
      const auto address = reinterpret_cast<uint64_t>(at);
      return address == __shfl_sync(kAll, address, 0) + lane * distance;
    }
  };

  /// What can be done before the wait is: the rate of copies hangs on how soon one follows another.
  __device__ __forceinline__ void put(Chunk chunk, const StageShape& shape, bool is_last) {
    const uint32_t at = find_room(shape.distance * kStageWarps);
    const uint32_t to = ring_.bytes + at + lane_ * shape.distance, full = ring_.full(number_);
    if (lane_ < kStageWarps) {
      asm volatile("st.shared::cta.u32 [%0], %1;" ::"r"(ring_.place(number_, lane_)),
                   "r"(ChunkPlace(to - shared_start_, is_last).word)
                   : "memory");
    }
    __syncwarp();
    if (lane_ == 0) hopper::arrive_and_expect(full, shape.bytes);
    wait_for_earlier(shape.bytes);
    __syncwarp();
    const uint64_t policy = hopper::evict_first_policy();
    if (shape.is_one) {
      if (lane_ == 0) hopper::bulk_copy(to, chunk.from, shape.bytes, full, policy);
    } else if (chunk.bytes > 0) {
      hopper::bulk_copy(to, chunk.from, chunk.bytes, full, policy);
    }
    __syncwarp();
    if (lane_ == number_ % kStagesMax) of_lane_ = {at, shape.bytes};
    on_their_way_ += shape.bytes;
    end_ = at + shape.distance * kStageWarps;
    ++number_;
  }

  /// Waits until a stage of so many bytes has room, and returns where.
  __device__ __forceinline__ uint32_t find_room(uint32_t bytes) {
    const bool wraps = end_ + bytes > ring_.byte_count;
    while (!has_room(bytes, wraps)) {
      hopper::wait(ring_.empty(used_), StepRing::parity(used_));
      ++used_;
    }
    return wraps ? 0 : end_;
  }
  __device__ __forceinline__ bool has_room(uint32_t bytes, bool wraps) const {
    if (used_ == number_) return true;
    if (number_ - used_ == kStagesMax) return false;
    const uint32_t first = __shfl_sync(kAll, of_lane_.at, static_cast<int>(used_ % kStagesMax));
    if (first < end_) return !wraps || bytes <= first;
    return !wraps && end_ + bytes <= first && first != end_;
  }
  /// Waits until few enough bytes are on their way.
  __device__ __forceinline__ void wait_for_earlier(uint32_t bytes) {
    while (on_their_way_ != 0 && on_their_way_ + bytes > kBytesUnderWay) {
      const bool is_few = on_their_way_ + bytes <= kBytesUnderWayStarved;
      if (come_ >= used_ && !wait_for_stage(is_few)) return;
      on_their_way_ -= __shfl_sync(kAll, of_lane_.bytes, static_cast<int>(come_ % kStagesMax));
      ++come_;
    }
  }
  /// Until the next stage has come; false: those who read have nothing left. `is_few`: then more
  /// may be on their way.
  __device__ __forceinline__ bool wait_for_stage(bool is_few) const {
    const uint32_t full = ring_.full(come_), parity = StepRing::parity(come_);
    if (!is_few) {
      hopper::wait(full, parity);
      return true;
    }
    if (come_ == 0) return false;
    const uint32_t last = ring_.empty(come_ - 1), last_parity = StepRing::parity(come_ - 1);
    for (;;) {
      if (__any_sync(kAll, hopper::is_over(last, last_parity))) return false;
      if (__any_sync(kAll, hopper::is_over(full, parity))) return true;
    }
  }

  /// Of the stage whose place among kStagesMax the lane's is.
  struct OfStage {
    uint32_t at = 0, bytes = 0;
  };

  const StepRing ring_;
  const uint32_t shared_start_;  ///< of the dynamic shared memory
  const uint32_t lane_;
  const int warp_;
  OfStage of_lane_;
  uint32_t end_ = 0;           ///< of the last stage
  uint32_t number_ = 0;        ///< of the next stage
  uint32_t come_ = 0;          ///< stages before it have come
  uint32_t used_ = 0;          ///< stages before it have been left by their warps
  uint32_t on_their_way_ = 0;  ///< bytes
};

/// All stages of a launch for ring `part`.
__device__ __forceinline__ void feed_stages(const StepLaunch& launch, const StepRing& ring,
                                            int part) {
  StageFeed feed(ring, part);
  for (int i = 0; i < launch.phase_count; ++i) {
    if (launch.phases[i].kind() != StepKind::kProduct) continue;
    const StepProduct& product = launch.phases[i].product;
    const PhaseUnits units(product);
    if (units.units > 0) feed.feed(product, units);
  }
}

/// The other end of the ring, of one warp. All lanes call everything.
class RingReader {
 public:
  /// `ring`: the first one; `number`: of the warp's next stage.
  __device__ __forceinline__ RingReader(const StepRing& ring, uint32_t number)
      : thread_(thread_index()),
        ring_(ring.of_part(thread_ / kLanes / kStageWarps)),
        number_(number) {}

  /// The next chunk, valid until release().
  __device__ __forceinline__ const std::byte* take() {
    await();
    return shared_bytes() + place_.offset();
  }
  /// Done with it.
  __device__ __forceinline__ void release() {
    __syncwarp();
    if (thread_ % kLanes == 0) hopper::arrive(ring_.empty(number_));
    ++number_;
  }
  /// Passes what is left of the phase, where other warps have more chunks.
  __device__ __forceinline__ void end_phase() {
    while (!place_.is_last()) {
      await();
      release();
    }
    place_ = {0, false};
  }
  __device__ __forceinline__ uint32_t number() const { return number_; }

 private:
  __device__ __forceinline__ void await() {
    hopper::wait(ring_.full(number_), StepRing::parity(number_));
    const auto in_stage = static_cast<uint32_t>(thread_ / kLanes % kStageWarps);
    asm volatile("ld.shared::cta.u32 %0, [%1];"
                 : "=r"(place_.word)
                 : "r"(ring_.place(number_, in_stage))
                 : "memory");
  }

  const int thread_;
  const StepRing ring_;
  uint32_t number_;             ///< of the warp's next stage
  ChunkPlace place_{0, false};  ///< the last one awaited
};

/// By the first threads of the block; a barrier follows.
__device__ __forceinline__ void init_rings(const StepRing& first) {
  const auto thread = static_cast<uint32_t>(thread_index());
  if (thread < kFeedingWarps * kStagesMax) {
    const StepRing ring = first.of_part(static_cast<int>(thread / kStagesMax));
    hopper::init_barrier(ring.full(thread), 1);
    hopper::init_barrier(ring.empty(thread), kStageWarps);
  }
  hopper::publish_barriers();
}

#endif

}  // namespace neuros::kernels::cuda
