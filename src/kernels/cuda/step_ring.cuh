#pragma once

/// How the weights of a step get to the warps that multiply: each has a ring of slots in shared
/// memory, a chunk a slot, and one lane of the feeding warps that keeps it full. Feeding warps wait
/// for nothing but free slots: weights depend on nothing, so that while the other warps wait at the
/// end of a phase, the first chunks of the next ones are on their way. Where they lie another warp
/// works out ahead, for all rings at once. Only few instructions of the warps that multiply are
/// about the rings, as all that runs between two phases is fetched anew.
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
inline constexpr int kStepSlotsMax = 16;
/// Warps whose lanes feed a ring each.
inline constexpr int kFeedingWarps = 3;
/// Runs that a ring's queue has room for, and bytes of the queues of a block.
inline constexpr int kQueueDepth = 4;
inline constexpr int kQueueBytes = kStepWarps * (kQueueDepth * 32 + 12);

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

/// The dynamic shared memory of a block. Functions that are called find their data here by
/// themselves: handed over, addresses would lose that they are of shared memory.
__device__ __forceinline__ std::byte* shared_bytes() {
  extern __shared__ uint4 dynamic_shared[];
  return reinterpret_cast<std::byte*>(dynamic_shared);
}

/// Where rings lie in shared memory: 32-bit addresses.
struct StepRings {
  uint32_t slots;     ///< [warp][slot]
  uint32_t barriers;  ///< [warp][slot]{full, empty}
  int slot_bytes, slots_of_warp;

  __device__ __forceinline__ uint32_t slot(int warp) const {
    return slots + static_cast<uint32_t>(warp * slots_of_warp * slot_bytes);
  }
  __device__ __forceinline__ uint32_t full(int warp) const {
    return barriers + static_cast<uint32_t>(warp * kStepSlotsMax * 16);
  }
};

/// What a block does in a product phase.
struct PhaseUnits {
  int units;           ///< of this block
  int log_groups;      ///< of columns
  int unit_end[2];     ///< of the first and second task
  int first_panel[2];  ///< of the second and third task, among the panels of all

  PhaseUnits() = default;
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
  const std::byte* at = nullptr;     ///< the first item; null: there are no more
  const std::byte* other = nullptr;  ///< the second one
  int stride = 0;
  int chunk_bytes = 0;
  int chunks = 0;  ///< of an item
  int items = 0;

  /// To the next chunk, from one with which `left` of its item are left. Returns how many are left
  /// with that; 0: there is none.
  __device__ __forceinline__ int advance(int left) {
    if (left > 1) {
      at += chunk_bytes;
      return left - 1;
    }
    if (--items == 0) return 0;
    const std::byte* const behind = at + stride;
    at = other;
    other = behind;
    return chunks;
  }
};

/// All items that one warp will multiply, in its order, from the first phase to the last.
class RunSource {
 public:
  __device__ __forceinline__ RunSource(const StepLaunch& launch, int warp)
      : launch_(launch), warp_(warp) {
    next_phase();
  }

  /// The next run of items that have chunks; one without items at the end.
  __device__ __forceinline__ ItemRun next() {
    while (phase_ < launch_.phase_count) {
      while (index_ < items_) {
        const ItemRun run = run_at(launch_.phases[phase_].product);
        index_ += kStepWarps * run.items;
        if (run.chunks > 0) return run;
      }
      ++phase_;
      next_phase();
    }
    return {};
  }

 private:
  __device__ __forceinline__ void next_phase() {
    while (phase_ < launch_.phase_count && launch_.phases[phase_].kind() != StepKind::kProduct) {
      ++phase_;
    }
    if (phase_ >= launch_.phase_count) return;
    units_ = PhaseUnits(launch_.phases[phase_].product);
    items_ = units_.units << units_.log_groups;
    index_ = warp_;
  }

  __device__ __forceinline__ ItemRun run_at(const StepProduct& product) const {
    const int unit = index_ >> units_.log_groups;
    const PhaseUnits::Place place = units_.place(product, unit);
    const StepTask& task = product.tasks[place.task];
    const bool is_rotated = rotates(task.chunks, units_.log_groups);
    const ChunkRange range(task.chunks, item_at(units_, index_, is_rotated).group,
                           units_.log_groups);
    ItemRun run;
    run.chunk_bytes = 16 * task.chunk_units;
    run.chunks = range.end - range.first;
    const int first = range.first * run.chunk_bytes;
    const int panel_bytes = task.chunks * run.chunk_bytes;
    const auto address = [&](const StepTask& of, int panel) {
      return of.weight + static_cast<int64_t>(panel) * panel_bytes + first;
    };
    run.at = address(task, place.panel);
    run.items = 1;
    if (is_rotated || (product.gated && product.is_mixed)) return run;
    run.items += (units_.task_end(unit) - 1 - unit) >> (4 - units_.log_groups);
    if (run.items == 1) return run;
    const int units = kStepWarps >> units_.log_groups;  // from an item to the next
    const PhaseUnits::Place second = units_.place(product, unit + units);
    run.other = address(product.tasks[second.task], second.panel);
    const int panels = product.gated ? units : 2 * units;
    run.stride =
        panels * static_cast<int>(gridDim.x) * panel_bytes - (run.chunks - 1) * run.chunk_bytes;
    return run;
  }

  const StepLaunch& launch_;
  const int warp_;
  int phase_ = 0;
  int index_ = 0, items_ = 0;
  PhaseUnits units_;
};

/// The runs to come of a block's rings, and how many each has been given and has taken.
struct RunQueues {
  ItemRun runs[kStepWarps][kQueueDepth];
  uint32_t given[kStepWarps], taken[kStepWarps];
  uint32_t copied[kStepWarps];  ///< chunks whose copies have been started

  /// By the first threads of the block; a barrier follows.
  __device__ __forceinline__ void init() {
    const int thread = thread_index();
    if (thread < kStepWarps) given[thread] = taken[thread] = copied[thread] = 0;
  }
  __device__ __forceinline__ bool has_room(int warp, uint32_t next) const {
    return next - load(taken[warp]) < kQueueDepth;
  }
  /// Run number `number` of a ring, from 0 on.
  __device__ __forceinline__ void give(int warp, uint32_t number, const ItemRun& run) {
    runs[warp][number % kQueueDepth] = run;
    store(given[warp], number + 1);
  }
  __device__ __forceinline__ uint32_t copies(int warp) const { return load(copied[warp]); }
  __device__ __forceinline__ void say_copied(int warp, uint32_t count) {
    store(copied[warp], count);
  }
  __device__ __forceinline__ bool has_run(int warp, uint32_t number) const {
    return load(given[warp]) != number;
  }
  __device__ __forceinline__ ItemRun take(int warp, uint32_t number) {
    const ItemRun run = runs[warp][number % kQueueDepth];
    store(taken[warp], number + 1);
    return run;
  }

 private:
  static __device__ __forceinline__ uint32_t load(const uint32_t& count) {
    uint32_t value;
    asm volatile("ld.acquire.cta.shared::cta.u32 %0, [%1];"
                 : "=r"(value)
                 : "r"(hopper::shared_address(&count))
                 : "memory");
    return value;
  }
  static __device__ __forceinline__ void store(uint32_t& count, uint32_t value) {
    asm volatile("st.release.cta.shared::cta.u32 [%0], %1;" ::"r"(hopper::shared_address(&count)),
                 "r"(value)
                 : "memory");
  }
};
static_assert(sizeof(RunQueues) == kQueueBytes);

/// Bytes of a ring's chunks that are brought to L2 ahead of their copies: 20 MB of all rings.
inline constexpr int kAheadBytes = 9728;

/// Gives the runs of a ring, and has their chunks brought to L2 before they are copied: while rings
/// are full memory would be idle.
class RunGiver {
 public:
  __device__ __forceinline__ RunGiver(const StepLaunch& launch, RunQueues& queues, int ring)
      : queues_(queues), ring_(ring), source_(launch, ring) {}

  __device__ __forceinline__ bool is_done() const { return is_done_; }
  /// False: there was nothing to do yet. bring(at, bytes): has a chunk brought.
  template <typename Bring>
  __device__ __forceinline__ bool go_on(Bring bring) {
    if (left_ == 0) return give();
    const auto ahead = static_cast<int>(asked_ - queues_.copies(ring_));
    if (ahead > 0 && ahead * run_.chunk_bytes >= kAheadBytes) return false;
    if (ahead >= 0) {  // else it has been copied already
      bring(run_.at, static_cast<uint32_t>(run_.chunk_bytes));
    }
    ++asked_;
    left_ = run_.advance(left_);
    return true;
  }

 private:
  __device__ __forceinline__ bool give() {
    if (is_done_ || !queues_.has_room(ring_, number_)) return false;
    run_ = source_.next();
    queues_.give(ring_, number_++, run_);
    is_done_ = run_.at == nullptr;
    left_ = run_.chunks;
    return true;
  }

  RunQueues& queues_;
  const int ring_;
  RunSource source_;
  ItemRun run_;         ///< from the next chunk to ask for on
  int left_ = 0;        ///< of its item
  uint32_t asked_ = 0;  ///< chunks
  uint32_t number_ = 0;
  bool is_done_ = false;
};

/// By a warp of its own, a lane for each ring.
__device__ __forceinline__ void give_runs(const StepLaunch& launch, RunQueues& queues) {
  constexpr uint32_t kGiving = (1u << kStepWarps) - 1;
  const int lane = thread_index() % kLanes;
  if (lane >= kStepWarps) return;
  RunGiver giver(launch, queues, lane);
  while (__any_sync(kGiving, !giver.is_done())) {
    const bool went_on = giver.go_on(hopper::prefetch_to_l2);
    if (!__any_sync(kGiving, went_on)) __nanosleep(100);
  }
}

/// Asks for the lines of the ranges that lanes have, of no bytes where they have none.
__device__ __forceinline__ void prefetch_lines(const std::byte* at, uint32_t bytes) {
  constexpr uint32_t kAll = 0xffffffffu, kLineBytes = 128;
  const auto address = reinterpret_cast<uint64_t>(at);
  for (uint32_t asking = __ballot_sync(kAll, bytes > 0); asking != 0; asking &= asking - 1) {
    const int lane = __ffs(static_cast<int>(asking)) - 1;
    const uint64_t first = __shfl_sync(kAll, address, lane);
    const uint64_t end = first + __shfl_sync(kAll, bytes, lane);
    uint64_t line = first / kLineBytes * kLineBytes + thread_index() % kLanes * kLineBytes;
    for (; line < end; line += kLanes * kLineBytes) {
      prefetch_line(reinterpret_cast<const void*>(line));
    }
  }
}
/// The same as give_runs(), line by line.
__device__ __forceinline__ void give_runs_by_lines(const StepLaunch& launch, RunQueues& queues) {
  constexpr uint32_t kAll = 0xffffffffu;
  const int lane = thread_index() % kLanes;
  const bool gives = lane < kStepWarps;
  RunGiver giver(launch, queues, lane % kStepWarps);
  while (__any_sync(kAll, gives && !giver.is_done())) {
    const std::byte* at = nullptr;
    uint32_t bytes = 0;
    const auto keep = [&](const std::byte* of_chunk, uint32_t of_bytes) {
      at = of_chunk, bytes = of_bytes;
    };
    const bool went_on = gives && giver.go_on(keep);
    if (!__any_sync(kAll, went_on)) __nanosleep(100);
    prefetch_lines(at, bytes);
  }
}

/// A place in a ring: offset of its slot, its barrier `full`, and how often it was passed.
struct SlotPlace {
  uint32_t offset = 0;
  uint32_t full;
  uint32_t phase = 0;

  __device__ __forceinline__ explicit SlotPlace(uint32_t first_full) : full(first_full) {}

  __device__ __forceinline__ void advance(uint32_t slot_bytes, uint32_t ring_bytes,
                                          uint32_t first_full) {
    offset += slot_bytes;
    full += 16;
    if (offset < ring_bytes) return;
    offset = 0;
    full = first_full;
    phase ^= 1;
  }
};

/// Whether a wait for the end of the phase of this parity would return at once.
__device__ __forceinline__ bool is_over(uint32_t barrier, uint32_t parity) {
  uint32_t over;
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 over, [%1], %2;\n"
      "selp.u32 %0, 1, 0, over;\n"
      "}\n"
      : "=r"(over)
      : "r"(barrier), "r"(parity)
      : "memory");
  return over != 0;
}

/// A ring as the lane that feeds it sees it.
class RingFeed {
 public:
  __device__ __forceinline__ RingFeed(RunQueues& queues, const StepRings& rings, int warp)
      : queues_(queues),
        warp_(warp),
        slot_bytes_(static_cast<uint32_t>(rings.slot_bytes)),
        ring_bytes_(static_cast<uint32_t>(rings.slots_of_warp * rings.slot_bytes)),
        slots_(rings.slot(warp)),
        first_full_(rings.full(warp)),
        next_(first_full_) {}

  /// There will be no more chunks.
  __device__ __forceinline__ bool is_done() const { return is_done_; }
  /// There is a chunk to copy.
  __device__ __forceinline__ bool has_chunk() {
    if (left_ > 0) return true;
    if (!queues_.has_run(warp_, number_)) return false;
    run_ = queues_.take(warp_, number_++);
    is_done_ = run_.at == nullptr;
    left_ = run_.chunks;
    return !is_done_;
  }
  __device__ __forceinline__ bool has_free_slot() const {
    return is_over(next_.full + 8, next_.phase ^ 1);
  }
  __device__ __forceinline__ void start_copy() {
    const auto bytes = static_cast<uint32_t>(run_.chunk_bytes);
    hopper::arrive_and_expect(next_.full, bytes);
    hopper::bulk_copy(slots_ + next_.offset, run_.at, bytes, next_.full,
                      hopper::evict_first_policy());
    next_.advance(slot_bytes_, ring_bytes_, first_full_);
    queues_.say_copied(warp_, ++copies_);
    left_ = run_.advance(left_);
  }

 private:
  RunQueues& queues_;
  const int warp_;
  uint32_t slot_bytes_, ring_bytes_;
  uint32_t slots_, first_full_;
  SlotPlace next_;
  ItemRun run_;   ///< from the next chunk to copy on
  int left_ = 0;  ///< of its item; 0: the run is over
  uint32_t number_ = 0, copies_ = 0;
  bool is_done_ = false;
};

/// A feeding warp; `feeder` is its number among them. Its lanes feed a ring each and wait for
/// nothing: a ring whose warp is slow does not hold the others up.
__device__ __forceinline__ void feed_rings(RunQueues& queues, const StepRings& rings, int feeder) {
  const int ring = feeder + kFeedingWarps * (thread_index() % kLanes);
  if (ring >= kStepWarps) return;
  RingFeed feed(queues, rings, ring);
  while (!feed.is_done()) {
    if (feed.has_chunk() && feed.has_free_slot()) feed.start_copy();
  }
}

/// The other end of a warp's ring. All lanes call everything.
class RingReader {
 public:
  /// From `place` on.
  __device__ __forceinline__ RingReader(const StepRings& rings, SlotPlace place)
      : slot_bytes_(static_cast<uint32_t>(rings.slot_bytes)),
        ring_bytes_(static_cast<uint32_t>(rings.slots_of_warp * rings.slot_bytes)),
        first_full_(rings.full(thread_index() / kLanes)),
        first_slot_(static_cast<uint32_t>(thread_index() / kLanes) * ring_bytes_),
        place_(place) {}

  /// The next chunk, valid until release().
  __device__ __forceinline__ const std::byte* take() const {
    hopper::wait(place_.full, place_.phase);
    return shared_bytes() + kRingsOffset + first_slot_ + place_.offset;
  }
  /// Done with it.
  __device__ __forceinline__ void release() {
    __syncwarp();
    if (thread_index() % kLanes == 0) hopper::arrive(place_.full + 8);
    place_.advance(slot_bytes_, ring_bytes_, first_full_);
  }
  __device__ __forceinline__ SlotPlace place() const { return place_; }

 private:
  uint32_t slot_bytes_, ring_bytes_;
  uint32_t first_full_, first_slot_;
  SlotPlace place_;
};

/// By the first threads of the block; a barrier follows.
__device__ __forceinline__ void init_rings(const StepRings& rings, RunQueues& queues) {
  queues.init();
  const auto thread = static_cast<uint32_t>(thread_index());
  if (thread < 2 * kStepWarps * kStepSlotsMax) {
    hopper::init_barrier(rings.barriers + thread * 8, 1);
  }
  hopper::publish_barriers();
}

#endif

}  // namespace neuros::kernels::cuda
