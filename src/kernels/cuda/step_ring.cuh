#pragma once

/// How the weights of a step get to the warps that multiply: each has a ring of slots in shared
/// memory, a chunk a slot, and one lane of the feeding warps that keeps it full. Feeding warps wait
/// for nothing but free slots: weights depend on nothing, so that while the other warps wait at the
/// end of a phase, the first chunks of the next ones are on their way. Only few instructions of the
/// warps that multiply are about the rings, as all that runs between two phases is fetched anew.
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
/// Rings that one feeding warp fills, each by a lane: copies are issued lane by lane.
inline constexpr int kRingsOfFeeder = 4;

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

/// Where rings lie in shared memory, as 32-bit addresses.
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

/// All chunks that one warp will multiply, in its order, from the first phase to the last. Within a
/// task whose groups are of equal length the next item is one addition away.
class ChunkSource {
 public:
  __device__ __forceinline__ ChunkSource(const StepLaunch& launch, int warp)
      : launch_(launch), warp_(warp) {
    next_phase();
    find_item();
  }

  __device__ __forceinline__ bool done() const { return phase_ >= launch_.phase_count; }
  __device__ __forceinline__ const std::byte* at() const { return at_; }
  __device__ __forceinline__ int bytes() const { return chunk_bytes_; }
  __device__ __forceinline__ void advance() {
    at_ += chunk_bytes_;
    left_ -= chunk_bytes_;
    if (left_ > 0) return;
    index_ += kStepWarps;
    if (run_left_ > 0) {
      --run_left_;
      at_ = other_item_;
      left_ = item_bytes_;
      other_item_ = item_ + stride_;
      item_ = at_;
    } else {
      find_item();
    }
  }

 private:
  /// From index_ on, the first item that has chunks.
  __device__ __forceinline__ void find_item() {
    while (!done()) {
      for (; index_ < items_; index_ += kStepWarps) {
        enter(launch_.phases[phase_].product);
        if (left_ > 0) return;
      }
      ++phase_;
      next_phase();
    }
  }

  __device__ __forceinline__ void next_phase() {
    while (!done() && launch_.phases[phase_].kind() != StepKind::kProduct) ++phase_;
    if (done()) return;
    units_ = PhaseUnits(launch_.phases[phase_].product);
    items_ = units_.units << units_.log_groups;
    index_ = warp_;
  }

  __device__ __forceinline__ void enter(const StepProduct& product) {
    const int unit = index_ >> units_.log_groups;
    const PhaseUnits::Place place = units_.place(product, unit);
    const StepTask& task = product.tasks[place.task];
    const bool is_rotated = rotates(task.chunks, units_.log_groups);
    const ChunkRange range(task.chunks, item_at(units_, index_, is_rotated).group,
                           units_.log_groups);
    chunk_bytes_ = 16 * task.chunk_units;
    const int first = range.first * chunk_bytes_;
    const int panel_bytes = task.chunks * chunk_bytes_;
    left_ = item_bytes_ = (range.end - range.first) * chunk_bytes_;
    const auto address = [&](const StepTask& of, int panel) {
      return of.weight + static_cast<int64_t>(panel) * panel_bytes + first;
    };
    item_ = at_ = address(task, place.panel);
    start_run(product, panel_bytes, unit, is_rotated);
    if (run_left_ == 0) return;
    const PhaseUnits::Place next = units_.place(product, unit + units_of_step());
    other_item_ = address(product.tasks[next.task], next.panel);
  }

  /// Items after this one that have its length and lie at equal distances.
  __device__ __forceinline__ void start_run(const StepProduct& product, int panel_bytes, int unit,
                                            bool is_rotated) {
    run_left_ = 0;
    if (is_rotated || (product.gated && product.is_mixed)) return;
    run_left_ = (units_.task_end(unit) - 1 - unit) >> (4 - units_.log_groups);
    // From an item to the one after the next.
    const int units = 2 * units_of_step() / (product.gated ? 2 : 1);
    stride_ = static_cast<int64_t>(units) * static_cast<int>(gridDim.x) * panel_bytes;
  }
  __device__ __forceinline__ int units_of_step() const { return 16 >> units_.log_groups; }

  const StepLaunch& launch_;
  const int warp_;
  int phase_ = 0;
  int index_ = 0, items_ = 0;
  PhaseUnits units_;
  int left_ = 0;  ///< bytes of the item
  int chunk_bytes_ = 0;
  const std::byte* at_ = nullptr;
  // The run.
  int run_left_ = 0, item_bytes_ = 0;
  int64_t stride_ = 0;
  const std::byte* item_ = nullptr;        ///< the current one
  const std::byte* other_item_ = nullptr;  ///< the next one
};

/// A place in a ring: offset of its slot, its barrier `full`, and how often it was passed.
struct RingPlace {
  uint32_t offset = 0;
  uint32_t full;
  uint32_t phase = 0;

  __device__ __forceinline__ explicit RingPlace(uint32_t first_full) : full(first_full) {}

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

/// What a feeding lane does for one ring. A lane that copies fills free slots. Another goes ahead of
/// it and asks for what comes next to be brought to L2: while warps wait at the end of a phase and
/// their rings are full, memory goes on reading. It does so at the pace at which memory gives:
/// requests in a heap would hold up the elements that warps wait for.
class RingFeed {
 public:
  __device__ __forceinline__ RingFeed(const StepLaunch& launch, const StepRings& rings, int warp,
                                      bool copies)
      : launch_(launch),
        rings_(rings),
        copies_(copies),
        warp_(warp),
        next_(rings.full(warp)),
        source_(launch, warp) {}

  __device__ __forceinline__ bool done() const { return source_.done(); }

  /// Whether the next chunk's turn has come.
  __device__ __forceinline__ bool ready() const {
    if (copies_) return is_over(next_.full + 8, next_.phase ^ 1);
    const int ahead = static_cast<int>(position_ - copied()[warp_]);
    return ahead < 0 || (ahead < launch_.ahead_bytes && clock_now() - last_ >= pause_);
  }
  __device__ __forceinline__ void pass() {
    const auto bytes = static_cast<uint32_t>(source_.bytes());
    if (copies_) {
      copy(bytes);
    } else {
      ask(bytes);
    }
    position_ += bytes;
    source_.advance();
  }

  /// Bytes that have been copied to each ring.
  static __device__ __forceinline__ volatile uint32_t* copied() {
    __shared__ uint32_t bytes[kStepWarps];
    return bytes;
  }

 private:
  static __device__ __forceinline__ uint32_t clock_now() {
    return static_cast<uint32_t>(clock64());
  }
  __device__ __forceinline__ void copy(uint32_t bytes) {
    hopper::arrive_and_expect(next_.full, bytes);
    hopper::bulk_copy(rings_.slot(warp_) + next_.offset, source_.at(), bytes, next_.full);
    next_.advance(static_cast<uint32_t>(rings_.slot_bytes),
                  static_cast<uint32_t>(rings_.slots_of_warp * rings_.slot_bytes),
                  rings_.full(warp_));
    copied()[warp_] = position_ + bytes;
  }
  __device__ __forceinline__ void ask(uint32_t bytes) {
    if (static_cast<int>(position_ - copied()[warp_]) < 0) return;  // it is being copied
    hopper::prefetch_to_l2(source_.at(), bytes);
    last_ = clock_now();
    pause_ = bytes * kStepWarps / static_cast<uint32_t>(launch_.bytes_of_clock);
  }

  const StepLaunch& launch_;
  const StepRings& rings_;
  bool copies_;
  int warp_;
  uint32_t position_ = 0;            ///< bytes before the next chunk
  uint32_t last_ = 0, pause_ = 0;    ///< when it last asked, and clocks from then to the next time
  RingPlace next_;
  ChunkSource source_;
};

/// A feeding warp; `feeder` is its number among them. Two lanes serve each ring, and no lane waits
/// for another: a ring whose warp is slow does not hold the others up.
__device__ __forceinline__ void feed_rings(const StepLaunch& launch, const StepRings& rings,
                                           int feeder) {
  const int lane = thread_index() % kLanes;
  if (lane >= 2 * kRingsOfFeeder || (lane >= kRingsOfFeeder && launch.ahead_bytes == 0)) return;
  RingFeed feed(launch, rings, feeder * kRingsOfFeeder + lane % kRingsOfFeeder,
                lane < kRingsOfFeeder);
  while (!feed.done()) {
    if (feed.ready()) feed.pass();
  }
}

/// The other end of a warp's ring. All lanes call everything.
class RingReader {
 public:
  /// From `place` on.
  __device__ __forceinline__ RingReader(const StepRings& rings, RingPlace place)
      : slot_bytes_(static_cast<uint32_t>(rings.slot_bytes)),
        ring_bytes_(static_cast<uint32_t>(rings.slots_of_warp * rings.slot_bytes)),
        first_full_(rings.full(thread_index() / kLanes)),
        first_slot_(static_cast<uint32_t>(thread_index() / kLanes) *
                    static_cast<uint32_t>(rings.slots_of_warp * rings.slot_bytes)),
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
  __device__ __forceinline__ RingPlace place() const { return place_; }

 private:
  uint32_t slot_bytes_, ring_bytes_;
  uint32_t first_full_, first_slot_;
  RingPlace place_;
};

/// By the first threads of the block; a barrier follows.
__device__ __forceinline__ void init_rings(const StepRings& rings) {
  const auto thread = static_cast<uint32_t>(thread_index());
  if (thread < 2 * kStepWarps * kStepSlotsMax) {
    hopper::init_barrier(rings.barriers + thread * 8, 1);
  }
  if (thread < kStepWarps) RingFeed::copied()[thread] = 0;
  hopper::publish_barriers();
}

#endif

}  // namespace neuros::kernels::cuda
