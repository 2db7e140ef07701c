#pragma once

/// How the weights of a step get to the warps that multiply: each has a ring of slots in shared
/// memory, a chunk a slot, and one lane of the feeding warp that keeps it full. The feeding warp
/// waits for nothing but free slots: it runs ahead into the next phases.
///
/// Work of a phase. A unit is a panel of 16 rows; blocks take panels in turn, and of gated phases
/// the gate's panel and then up's. Units come apart in items, one for each group of columns
/// (column_groups()); warp w of a block has items w, w + 16, ... of the block's. The groups of a
/// unit are rotated against those of the one before, so that no warp always has the longer ones.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/prepare.cuh"
#include "kernels/cuda/step_program.h"

namespace neuros::kernels::cuda {

inline constexpr int kStepWarps = kBlockWarps;  ///< that multiply
inline constexpr int kStepSlotsMax = 16;

/// What a block does in a product phase.
struct PhaseUnits {
  int units;           ///< of this block
  int log_groups;      ///< of columns
  int first_panel[2];  ///< of the second and third task

  __device__ __forceinline__ explicit PhaseUnits(const StepProduct& product) {
    const auto panels_of = [&](int i) {
      return i < product.task_count ? (product.tasks[i].rows + kPanelRows - 1) / kPanelRows : 0;
    };
    int panels = panels_of(0);
    if (!product.gated) {
      first_panel[0] = panels;
      first_panel[1] = panels + panels_of(1);
      panels = first_panel[1] + panels_of(2);
    }
    const int grid = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    units = panels > block ? (panels - block - 1) / grid + 1 : 0;
    if (product.gated) units *= 2;
    log_groups = product.log_groups;
  }

  struct Place {
    int task, panel;
  };
  __device__ __forceinline__ Place place(const StepProduct& product, int unit) const {
    const int grid = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    if (product.gated) return {unit & 1, block + (unit >> 1) * grid};
    const int panel = block + unit * grid;
    if (panel < first_panel[0]) return {0, panel};
    if (panel < first_panel[1]) return {1, panel - first_panel[0]};
    return {2, panel - first_panel[1]};
  }
};

/// A group of a unit.
struct StepItem {
  int unit, group;
};
__device__ __forceinline__ StepItem item_at(const PhaseUnits& phase, int index) {
  const int unit = index >> phase.log_groups;
  return {unit, (index + unit) & ((1 << phase.log_groups) - 1)};
}

/// The chunks of a group: [first, end).
struct ChunkRange {
  int first, end;

  __device__ __forceinline__ ChunkRange(int chunks, int group, int log_groups)
      : first((group * chunks) >> log_groups), end(((group + 1) * chunks) >> log_groups) {}
};

/// Where rings lie in shared memory, as 32-bit addresses.
struct StepRings {
  uint32_t slots;     ///< [warp][slot]
  uint32_t barriers;  ///< [warp][slot]{full, empty}
  int slot_bytes, slots_of_warp;

  __device__ __forceinline__ uint32_t slot(int warp, int i) const {
    return slots + static_cast<uint32_t>((warp * slots_of_warp + i) * slot_bytes);
  }
  __device__ __forceinline__ uint32_t full(int warp, int i) const {
    return barriers + static_cast<uint32_t>((warp * kStepSlotsMax + i) * 16);
  }
  __device__ __forceinline__ uint32_t empty(int warp, int i) const { return full(warp, i) + 8; }
};

/// A place in a ring and how often it was passed.
struct RingCursor {
  int slot = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance(int slots) {
    if (++slot < slots) return;
    slot = 0;
    phase ^= 1;
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Whether wait() would return at once.
__device__ __forceinline__ bool has_ended(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.b32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
  return done != 0;
}

/// All chunks that one warp will multiply, in its order, from the first phase to the last.
class ChunkSource {
 public:
  __device__ __forceinline__ ChunkSource(const StepLaunch& launch, int warp)
      : launch_(launch), warp_(warp) {
    next_item();
  }

  __device__ __forceinline__ bool done() const { return phase_ >= launch_.phase_count; }
  __device__ __forceinline__ const std::byte* at() const { return at_; }
  __device__ __forceinline__ int bytes() const {
    return static_cast<int>(min(static_cast<int64_t>(chunk_bytes_), panel_end_ - at_));
  }
  __device__ __forceinline__ void advance() {
    at_ += chunk_bytes_;
    if (--left_ == 0) next_item();
  }

 private:
  /// The next item that has chunks, in this phase or a later one.
  __device__ __forceinline__ void next_item() {
    while (phase_ < launch_.phase_count) {
      const StepPhase& phase = launch_.phases[phase_];
      if (phase.kind == StepKind::kProduct) {
        const PhaseUnits units(phase.product);
        for (; index_ < units.units << units.log_groups; index_ += kStepWarps) {
          if (enter(phase.product, units, item_at(units, index_))) {
            index_ += kStepWarps;
            return;
          }
        }
      }
      ++phase_;
      index_ = warp_;
    }
  }

  __device__ __forceinline__ bool enter(const StepProduct& product, const PhaseUnits& units,
                                        StepItem item) {
    const PhaseUnits::Place place = units.place(product, item.unit);
    const StepTask& task = product.tasks[place.task];
    const ChunkRange range(task.chunks, item.group, units.log_groups);
    if (range.first == range.end) return false;
    chunk_bytes_ = 16 * task.chunk_units;
    left_ = range.end - range.first;
    // 16-bit floats may end in a short chunk; all others in a whole one.
    const bool is_half = task.dtype == base::DType::kF16 || task.dtype == base::DType::kBF16;
    const int64_t panel_bytes =
        is_half ? static_cast<int64_t>((product.cols + 15) / 16) * (16 * kPanelRows * 2)
                : static_cast<int64_t>(task.chunks) * chunk_bytes_;
    const std::byte* panel = task.weight + place.panel * panel_bytes;
    at_ = panel + static_cast<int64_t>(range.first) * chunk_bytes_;
    panel_end_ = panel + panel_bytes;
    return true;
  }

  const StepLaunch& launch_;
  const int warp_;
  int phase_ = 0;
  int index_ = warp_;
  int left_ = 0;
  int chunk_bytes_ = 0;
  const std::byte* at_ = nullptr;
  const std::byte* panel_end_ = nullptr;
};

/// The feeding warp: lane w has the ring of warp w.
__device__ __forceinline__ void feed_rings(const StepLaunch& launch, const StepRings& rings) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  if (lane >= kStepWarps) return;
  ChunkSource source(launch, lane);
  RingCursor cursor;
  while (!source.done()) {
    if (has_ended(rings.empty(lane, cursor.slot), cursor.phase ^ 1)) {
      const auto bytes = static_cast<uint32_t>(source.bytes());
      const uint32_t full = rings.full(lane, cursor.slot);
      hopper::arrive_and_expect(full, bytes);
      hopper::bulk_copy(rings.slot(lane, cursor.slot), source.at(), bytes, full);
      source.advance();
      cursor.advance(rings.slots_of_warp);
    } else {
      __nanosleep(20);  // the other warps have work
    }
  }
}

/// The other end of a warp's ring.
class RingReader {
 public:
  __device__ __forceinline__ RingReader(const StepRings& rings, const std::byte* slots)
      : rings_(rings), warp_(static_cast<int>(threadIdx.x) / kLanes), slots_(slots) {}

  /// The next chunk. All lanes call it.
  __device__ __forceinline__ const std::byte* take() const {
    hopper::wait(rings_.full(warp_, cursor_.slot), cursor_.phase);
    return slots_ + (warp_ * rings_.slots_of_warp + cursor_.slot) * rings_.slot_bytes;
  }
  /// Done with it.
  __device__ __forceinline__ void release() {
    __syncwarp();
    if (threadIdx.x % kLanes == 0) hopper::arrive(rings_.empty(warp_, cursor_.slot));
    cursor_.advance(rings_.slots_of_warp);
  }

 private:
  const StepRings& rings_;
  int warp_;
  const std::byte* slots_;
  RingCursor cursor_;
};

/// By the first kStepWarps * kLanes threads at least; a barrier of the block follows.
__device__ __forceinline__ void init_rings(const StepRings& rings) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kStepWarps * kStepSlotsMax) {
    hopper::init_barrier(rings.full(0, thread), 1);
    hopper::init_barrier(rings.empty(0, thread), 1);
  }
  hopper::publish_barriers();
}

#endif

}  // namespace neuros::kernels::cuda
