/// Attention of single rows over long contexts, split along the keys
/// (https://crfm.stanford.edu/2023/10/12/flashdecoding.html). The visible positions of a row are
/// cut into splits whose length depends on their number alone, so that its bits do; a block takes
/// one KV head for up to eight of its query heads and leaves each split's sums relative to the
/// split's own largest score; the last block that has splits of a row adds them in their order.
///
/// A warp of a block finds the tiles and copies them, the other four multiply: what it takes to
/// know where a tile lies, loads one after another, holds nobody up. The first tiles, of positions
/// that earlier passes wrote, come before the launch may begin. Bound: keys and values at the speed
/// of memory. Of a tile, 32 KB for 128 dimensions, that is 5,800 clocks of a block where three
/// share a multiprocessor; multiplying takes some 1,500 of them, the end of a split as many.
///
/// Products run on tensor cores at nearly float's precision: queries and softmax weights are
/// sums of two 16-bit numbers, and of the 16 rows that an instruction has, the eight heads take
/// rows 0 to 7 for the coarse part and 8 to 15 for the fine one.

#include "kernels/cuda/attention_page_tile.cuh"
#include "kernels/cuda/attention_stages.cuh"
#include "kernels/cuda/attention_tasks.cuh"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/meeting.cuh"
#include "kernels/cuda/residency.h"

#include <algorithm>
#include <bit>
#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

/// How tiles come.
enum class Feed { kCopies, kBoxes };

template <Feed kFeed, typename T, int kHeadDim>
using TileOf =
    std::conditional_t<kFeed == Feed::kBoxes, PageTile<T, kHeadDim>, Tile<T, kHeadDim, kSplitTile>>;
/// Arrivals that make a stage full: of boxes one says how much is to come, and one what for.
template <Feed kFeed>
constexpr uint32_t kFills = kFeed == Feed::kBoxes ? 2 : StagePlace::kFills;

/// What a block's warps have in common.
template <typename T, int kHeadDim>
struct Block {
  const AttentionView& view;
  const DecodePlan& plan;
  StagePlace place;
  std::byte* stages;
  StageTasks<kHeadDim> tasks;

  template <typename KvTile>
  __device__ __forceinline__ KvTile tile() const {
    return KvTile(stages + place.stage() * KvTile::kBytes);
  }
};

/// The warp that feeds: tiles of all units through the stages in turn, whatever the other warps
/// do with the sums of a unit.
template <typename T, int kHeadDim>
__device__ __forceinline__ void feed_tiles(Block<T, kHeadDim> block) {
  using KvTile = TileOf<Feed::kCopies, T, kHeadDim>;
  TaskWriter<T, kHeadDim> writer(block.view, block.tasks, block.plan.stages);
  writer.put_dry(block.place.stage());
  block.place.fill_without_copies();
  block.place.advance();
  wait_for_previous();
  UnitWalk walk(block.view, block.plan);
  KnownPages known(block.view);
  for (Unit unit = walk.next(); unit.tiles > 0; unit = walk.next()) {
    for (int n = 0; n < unit.tiles; ++n, block.place.advance()) {
      const int32_t start = unit.start + n * kSplitTile;
      const bool is_whole = start >= unit.pages.first && start + kSplitTile <= unit.pages.end;
      if (is_whole) known.learn(unit, start);
      block.place.wait_empty();
      const KvTile tile = block.template tile<KvTile>();
      if (is_whole) {
        tile.template load_whole<32>(block.view, known, start);
      } else {
        tile.template load<32>(block.view, unit.pages, start);
      }
      writer.put(block.place.stage(), unit, n);
      block.place.fill();
    }
  }
  block.place.wait_empty();
  writer.put_end(block.place.stage());
  block.place.fill_without_copies();
  end_copy_group();
  wait_for_copies<0>();
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
/// Tiles of a unit that only passes before this one have written, no more than there are stages: of
/// a row all but the last one, which has the row's own position.
__device__ __forceinline__ int written_tiles(const Unit& unit, int stages) {
  const int before_own = (unit.row_end - 1 - unit.start) / kSplitTile;
  return min(min(unit.tiles, before_own), stages);
}
#endif

/// The same with boxes. The first tiles come while the launch waits for the one before.
template <typename T, int kHeadDim>
__device__ __forceinline__ void feed_boxes(Block<T, kHeadDim> block, const PageMaps& maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using KvTile = TileOf<Feed::kBoxes, T, kHeadDim>;
  const bool is_first_lane = threadIdx.x % 32 == 0;
  TaskWriter<T, kHeadDim> writer(block.view, block.tasks, block.plan.stages);
  const auto fill_without_tile = [&] {
    if (!is_first_lane) return;
    for (uint32_t i = 0; i < kFills<Feed::kBoxes>; ++i) hopper::arrive(block.place.full());
  };
  writer.put_dry(block.place.stage());
  fill_without_tile();
  block.place.advance();
  if (is_first_lane) {
    hopper::prefetch_map(&maps.keys);
    hopper::prefetch_map(&maps.values);
  }
  UnitWalk walk(block.view, block.plan);
  KnownPages known(block.view);
  const auto start_copies = [&](const Block<T, kHeadDim>& to, const Unit& unit, int n) {
    const int32_t start = unit.start + n * kSplitTile;
    known.learn(unit, start);
    const int32_t pages[KvTile::kPages]{known.page(start), known.page(start + kMappedPageTokens)};
    to.place.wait_empty();
    if (is_first_lane) hopper::arrive_and_expect(to.place.full(), KvTile::kBytes);
    __syncwarp();
    to.template tile<KvTile>().load(maps, pages, unit.work.kv_head, to.view.kv_heads,
                                    to.place.full());
  };
  Unit unit = walk.next();
  int started = written_tiles(unit, block.plan.stages);
  Block<T, kHeadDim> ahead = block;
  for (int n = 0; n < started; ++n, ahead.place.advance()) start_copies(ahead, unit, n);
  wait_for_previous();
  hopper::order_bulk_reads();
  for (; unit.tiles > 0; unit = walk.next()) {
    for (int n = 0; n < unit.tiles; ++n, block.place.advance()) {
      if (started > 0) {
        --started;
      } else {
        start_copies(block, unit, n);
      }
      writer.put(block.place.stage(), unit, n);
      __syncwarp();
      if (is_first_lane) hopper::arrive(block.place.full());
    }
  }
  block.place.wait_empty();
  writer.put_end(block.place.stage());
  fill_without_tile();
#endif
}

/// Rows whose splits several blocks have: the last one of them merges, when it has something else
/// to wait for as well.
class RowMeeting {
 public:
  /// After this block has left `run` of the splits of a row's heads. All threads that multiply call
  /// it, after a barrier.
  __device__ __forceinline__ void come(const RowHeads& row, int splits, int run,
                                       uint32_t* meeting) {
    is_pending_ = true;
    row_ = row;
    splits_ = splits;
    if (threadIdx.x != 0) return;
    uint32_t before = 0;
    if (run < splits) {
      before = come_to_meeting(meeting, static_cast<uint32_t>(run));
      if (before + run == splits) *meeting = 0;
    }
    flag() = before + run == splits;
  }
  /// After a barrier.
  template <int kHeadDim>
  __device__ __forceinline__ void merge_if_last(const AttentionView& view, const DecodePlan& plan) {
    if (is_pending_ && flag()) merge<kHeadDim>(view, plan, row_, splits_);
    is_pending_ = false;
  }

 private:
  static __device__ __forceinline__ bool& flag() {
    __shared__ bool is_last;
    return is_last;
  }

  bool is_pending_ = false;
  RowHeads row_;
  int splits_ = 0;
};

/// The other warps.
template <Feed kFeed, typename T, int kHeadDim>
__device__ __forceinline__ void attend(Block<T, kHeadDim> block) {
  using Sums = WarpSums<kHeadDim>;
  using KvTile = TileOf<kFeed, T, kHeadDim>;
  static_assert(sizeof(Sums) <= KvTile::kBytes);
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
  RowMeeting meeting;
  for (;; block.place.advance()) {
    block.place.wait_full();
    const TileTask* task = block.tasks.tasks + block.place.stage();
    if (task->is_end) break;
    DecodeWarp<T, kHeadDim> warp({block.tasks.queries(task->queries) + threadIdx.x % 32});
    for (;;) {
      const KvTile tile = block.template tile<KvTile>();
      const int32_t start = task->start, end = task->end;
      if constexpr (kFeed == Feed::kBoxes) {
        if (start + kSplitTile > end) tile.clear_values(column, end - start);
      }
      warp.add(tile, column, start + column, task->first, end, block.view.soft_cap);
      if (task->ends) break;
      block.place.empty();
      block.place.advance();
      block.place.wait_full();
      task = block.tasks.tasks + block.place.stage();
    }
    // The stage has the sums before it has another tile.
    auto& sums = *reinterpret_cast<Sums*>(block.stages + block.place.stage() * KvTile::kBytes);
    StagePlace::meet();
    sums.put(warp);
    StagePlace::meet();
    const RowHeads row = task->row;
    const int splits = task->splits, run = task->run, at = task->meeting;
    leave(block.view, block.plan, row, task->split, splits, sums);
    if constexpr (kFeed == Feed::kBoxes) publish_to_copies();
    block.place.empty();
    if (row.heads == 0) wait_for_previous();
    meeting.merge_if_last<kHeadDim>(block.view, block.plan);
    if (run == 0 || splits == 1) continue;
    StagePlace::meet();
    meeting.come(row, splits, run, block.plan.meetings + at);
  }
  StagePlace::meet();
  meeting.merge_if_last<kHeadDim>(block.view, block.plan);
}

/// Blocks that a multiprocessor is to have room for.
template <int kHeadDim>
constexpr int kBlocksWanted = kHeadDim > 192   ? 1
                              : kHeadDim > 128 ? 2
                                               : 3;

/// As many blocks as are on the chip at once. Shared memory: stages' tiles, then StageTasks.
template <Feed kFeed, typename T, int kHeadDim>
__global__ void __launch_bounds__(kDecodeThreads, kBlocksWanted<kHeadDim>)
    decode_kernel(const __grid_constant__ AttentionView view,
                  const __grid_constant__ DecodePlan plan, const __grid_constant__ PageMaps maps) {
  extern __shared__ __align__(1024) std::byte shared[];
  constexpr int kTileBytes = TileOf<kFeed, T, kHeadDim>::kBytes;
  let_next_start();
  const Block<T, kHeadDim> block{
      view, plan, StagePlace(plan.stages, kFills<kFeed>), shared,
      StageTasks<kHeadDim>(shared + plan.stages * kTileBytes, plan.stages)};
  if (threadIdx.x < kTileThreads) {
    attend<kFeed>(block);
  } else if constexpr (kFeed == Feed::kBoxes) {
    feed_boxes(block, maps);
  } else {
    feed_tiles(block);
  }
}

/// The most that RowRange finds between begin and end: a function of the bucket.
int32_t visible_max(int32_t positions, int32_t window) {
  const int32_t bucket = bucketed_positions(positions);
  return window > 0 ? std::min(bucket, window + kGranule) : bucket;
}

/// The most splits of a row that sees no more than `visible`.
int32_t splits_max(int32_t visible) {
  const int32_t few = std::min((visible + kSplitTile - 1) / kSplitTile, kFewSplits);
  return visible <= kFewSplitsPositions
             ? few
             : std::min((visible + kSplitTile - 1) / kSplitTile, kSplitsMax);
}

/// As many as leave room for other blocks, where these are two at least.
template <Feed kFeed, typename T, int kHeadDim>
int stages_of(const DeviceTraits& device) {
  constexpr int kReserved = 2048;  // of a block, by the device and for barriers
  constexpr int kStage = TileOf<kFeed, T, kHeadDim>::kBytes + StageTasks<kHeadDim>::bytes(1);
  const int most = device.compute_capability < 80 ? 2 : kDecodeStagesMax;
  const auto fit = [&](int blocks) {
    return std::min((device.shared_bytes_max / blocks - kReserved) / kStage, most);
  };
  int blocks = kBlocksWanted<kHeadDim>;
  while (blocks > 1 && fit(blocks) < 2) --blocks;
  return fit(blocks);
}

/// A launch whose tiles come by `kFeed`. False: not on this device.
template <Feed kFeed, typename T, int kHeadDim>
bool launch_by(const OpContext& context, const AttentionRun& run, DecodePlan plan) {
  static Residency residency;
  const AttentionView& view = run.view;
  plan.stages = stages_of<kFeed, T, kHeadDim>(device_traits());
  if (plan.stages < 1) return false;
  const int shared =
      plan.stages * TileOf<kFeed, T, kHeadDim>::kBytes + StageTasks<kHeadDim>::bytes(plan.stages);
  const auto* kernel = reinterpret_cast<const void*>(decode_kernel<kFeed, T, kHeadDim>);
  const int blocks = std::min(residency.blocks(kernel, kDecodeThreads, shared),
                              view.kv_heads * plan.head_blocks * plan.sequences * plan.splits);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(blocks)),
          .block = dim3(kDecodeThreads),
          .shared_bytes = static_cast<size_t>(shared)},
         decode_kernel<kFeed, T, kHeadDim>, view, plan,
         kFeed == Feed::kBoxes ? page_maps(view) : PageMaps{});
  return true;
}

template <typename T, int kHeadDim>
bool launch_decode(const OpContext& context, const AttentionRun& run, const DecodePlan& plan) {
  if (device_traits().compute_capability < 80 && !std::is_same_v<T, __half>) return false;
  if constexpr (kHeadDim % kBoxColumns == 0) {
    if (can_map_pages(run.view)) return launch_by<Feed::kBoxes, T, kHeadDim>(context, run, plan);
  }
  return launch_by<Feed::kCopies, T, kHeadDim>(context, run, plan);
}

template <typename T>
bool launch_decode(const OpContext& context, const AttentionRun& run, const DecodePlan& plan) {
  switch (run.view.head_dim) {
    case 64:
      return launch_decode<T, 64>(context, run, plan);
    case 80:
      return launch_decode<T, 80>(context, run, plan);
    case 96:
      return launch_decode<T, 96>(context, run, plan);
    case 128:
      return launch_decode<T, 128>(context, run, plan);
    case 192:
      return launch_decode<T, 192>(context, run, plan);
    case 256:
      return launch_decode<T, 256>(context, run, plan);
    default:
      return false;
  }
}

int64_t largest_total_bytes(int64_t sequences, int64_t heads, int64_t splits) {
  return round_up(sequences * heads * splits * static_cast<int64_t>(sizeof(float2)), 256);
}

}  // namespace

int32_t bucketed_positions(int32_t positions) {
  // From two tiles a split on, launches are the same.
  constexpr int32_t kMost = 2 * kSplitTile * kSplitsMax;
  const auto rounded = std::bit_ceil(static_cast<uint32_t>(std::clamp(positions, 1, kMost)));
  return std::max(static_cast<int32_t>(rounded), kSplitTile);
}

int32_t attention_splits_max(int32_t positions) {
  return splits_max(visible_max(positions, 0));
}

int64_t attention_decode_scratch_bytes(const OpLimits& limits) {
  const auto context = static_cast<int32_t>(std::min<int64_t>(limits.context, INT32_MAX));
  const int64_t splits = splits_max(visible_max(context, 0));
  const int64_t sums = limits.sequences * limits.heads * splits * limits.head_dim;
  return handed_on_bytes(limits) + largest_total_bytes(limits.sequences, limits.heads, splits) +
         round_up(sums * static_cast<int64_t>(sizeof(float)), 256);
}

bool attention_decode(const OpContext& context, const AttentionRun& run,
                      std::span<std::byte> scratch) {
  return attention_decode(context, run, HandedOn{.pieces = {}, .rest = scratch});
}

bool attention_decode(const OpContext& context, const AttentionRun& run, const HandedOn& handed) {
  const AttentionView& view = run.view;
  // A warp rounds a head's columns 32 at a time.
  if (handed.is_possible() && handed.kind == ActivationKind::kQ8 && view.head_dim % 32 != 0) {
    return false;
  }
  DecodePlan plan;
  plan.sequences = static_cast<int32_t>(run.slices.size());
  plan.splits = splits_max(visible_max(run.longest, view.window));
  plan.head_blocks = (view.group + kBlockHeads - 1) / kBlockHeads;
  plan.pieces = handed.pieces;
  plan.kind = handed.kind;
  const int64_t first = largest_total_bytes(std::ssize(run.slices), view.heads, plan.splits);
  const int64_t sums = std::ssize(run.slices) * view.heads * plan.splits * view.head_dim;
  CHECK(first + sums * static_cast<int64_t>(sizeof(float)) <= std::ssize(handed.rest),
        "scratch: less than scratch_bytes() asked for");
  plan.largest_total = reinterpret_cast<float2*>(handed.rest.data());
  plan.sums = reinterpret_cast<float*>(handed.rest.data() + first);
  plan.meetings = meetings_of(context).of_heads;
  plan.units_taken = meetings_of(context).of_units;
  if (run.dtype == base::DType::kF16) return launch_decode<__half>(context, run, plan);
  if (run.dtype == base::DType::kBF16) return launch_decode<__nv_bfloat16>(context, run, plan);
  return false;
}

}  // namespace neuros::kernels::cuda
