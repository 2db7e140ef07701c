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

  __device__ __forceinline__ void advance(const StepRings& rings, uint32_t first_full) {
    offset += static_cast<uint32_t>(rings.slot_bytes);
    full += 16;
    if (offset < static_cast<uint32_t>(rings.slots_of_warp * rings.slot_bytes)) return;
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

/// One lane's ring, as the lane that feeds it sees it.
class RingFeed {
 public:
  __device__ __forceinline__ RingFeed(const StepLaunch& launch, const StepRings& rings, int warp)
      : rings_(rings),
        slots_(rings.slot(warp)),
        first_full_(rings.full(warp)),
        next_(first_full_),
        source_(launch, warp) {}

  __device__ __forceinline__ bool done() const { return source_.done(); }

  /// Whether there is a free slot.
  __device__ __forceinline__ bool ready() const {
    return is_over(next_.full + 8, next_.phase ^ 1);
  }
  __device__ __forceinline__ void start_copy() {
    const auto bytes = static_cast<uint32_t>(source_.bytes());
    hopper::arrive_and_expect(next_.full, bytes);
    hopper::bulk_copy(slots_ + next_.offset, source_.at(), bytes, next_.full);
    next_.advance(rings_, first_full_);
    source_.advance();
  }

 private:
  const StepRings& rings_;
  uint32_t slots_, first_full_;
  RingPlace next_;
  ChunkSource source_;
};

/// A feeding warp; `feeder` is its number among them. Its lanes feed a ring each and wait for
/// nothing: a ring whose warp is slow does not hold the others up.
__device__ __forceinline__ void feed_rings(const StepLaunch& launch, const StepRings& rings,
                                           int feeder) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  if (lane >= kRingsOfFeeder) return;
  RingFeed feed(launch, rings, feeder * kRingsOfFeeder + lane);
  while (!feed.done()) {
    if (feed.ready()) feed.start_copy();
  }
}

/// The other end of a warp's ring. All lanes call everything.
class RingReader {
 public:
  __device__ __forceinline__ RingReader(const StepRings& rings, const std::byte* slots)
      : rings_(rings),
        first_full_(rings.full(static_cast<int>(threadIdx.x) / kLanes)),
        slots_(slots +
               static_cast<int>(threadIdx.x) / kLanes * rings.slots_of_warp * rings.slot_bytes),
        place_(first_full_) {}

  /// The next chunk, valid until release().
  __device__ __forceinline__ const std::byte* take() const {
    hopper::wait(place_.full, place_.phase);
    return slots_ + place_.offset;
  }
  /// Done with it.
  __device__ __forceinline__ void release() {
    __syncwarp();
    if (threadIdx.x % kLanes == 0) hopper::arrive(place_.full + 8);
    place_.advance(rings_, first_full_);
  }

 private:
  const StepRings& rings_;
  uint32_t first_full_;
  const std::byte* slots_;
  RingPlace place_;
};

/// By the first threads of the block; a barrier follows.
__device__ __forceinline__ void init_rings(const StepRings& rings) {
  const auto thread = static_cast<uint32_t>(threadIdx.x);
  if (thread < 2 * kStepWarps * kStepSlotsMax) {
    hopper::init_barrier(rings.barriers + thread * 8, 1);
  }
  hopper::publish_barriers();
}

#endif

}  // namespace neuros::kernels::cuda
