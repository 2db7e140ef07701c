/// Attention of single rows over long contexts, split along the keys
/// (https://crfm.stanford.edu/2023/10/12/flashdecoding.html). The visible positions of a row are
/// cut into splits whose length depends on their number alone, so that its bits do; a block takes
/// one KV head for up to eight of its query heads and leaves each split's sums relative to the
/// split's own largest score; a second kernel adds the splits in their order.
///
/// Products run on tensor cores at nearly float's precision: queries and softmax weights are
/// sums of two 16-bit numbers, and of the 16 rows that an instruction has, the eight heads take
/// rows 0 to 7 for the coarse part and 8 to 15 for the fine one.

#include "kernels/cuda/attention_split.cuh"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/residency.h"

#include <algorithm>
#include <bit>
#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

/// A split that a block works on, for some of the query heads of a KV head.
struct Unit {
  DecodeWork work;
  HeadPages pages;
  int32_t start = 0;  ///< its first position
  int tiles = 0;      ///< none: there is no such unit
  bool only = false;  ///< split of its row
};

/// The units of this block, one after the other: every gridDim.x-th of all. First splits of all
/// rows come first, so that the blocks end together although rows differ in length.
class UnitWalk {
 public:
  __device__ __forceinline__ UnitWalk(const AttentionView& view, const DecodePlan& plan)
      : view_(view), plan_(plan), place_(static_cast<int>(blockIdx.x)) {}

  __device__ __forceinline__ Unit next() {
    const int head_blocks = view_.kv_heads * plan_.head_blocks;
    const int of_split = head_blocks * plan_.sequences;
    while (true) {
      for (; place_ >= of_split; place_ -= of_split) ++split_;
      if (split_ >= plan_.splits) return {};
      const int sequence = place_ / head_blocks, head_block = place_ - sequence * head_blocks;
      place_ += static_cast<int>(gridDim.x);
      const RowRange row(view_, sequence);
      if (split_ < row.splits) return unit(row, split_, sequence, head_block);
    }
  }

 private:
  __device__ __forceinline__ Unit unit(const RowRange& row, int split, int sequence,
                                       int head_block) const {
    const int kv_head = plan_.head_blocks == 1 ? head_block : head_block / plan_.head_blocks;
    const int in_group = (head_block - kv_head * plan_.head_blocks) * kBlockHeads;
    Unit unit{.work = {.sequence = sequence,
                       .split = split,
                       .kv_head = kv_head,
                       .first_head = kv_head * view_.group + in_group,
                       .heads = min(kBlockHeads, view_.group - in_group)},
              .pages = pages_of(view_, sequence, kv_head),
              .start = row.begin + split * row.split,
              .only = row.splits == 1};
    unit.pages.first = row.first;
    unit.pages.end = min(row.end, unit.start + row.split);
    unit.tiles = (unit.pages.end - unit.start + kSplitTile - 1) / kSplitTile;
    return unit;
  }

  const AttentionView& view_;
  const DecodePlan& plan_;
  int place_;  ///< of the next one, counted from the first of split_
  int split_ = 0;
};

/// Tiles of all units through the stages in turn: while the sums of one unit are written, the
/// copies of the next one go on.
template <typename T, int kHeadDim>
class TileFeed {
 public:
  using KvTile = Tile<T, kHeadDim, kSplitTile>;

  __device__ __forceinline__ TileFeed(const AttentionView& view, const DecodePlan& plan,
                                      std::byte* shared)
      : view_(view), stages_(plan.stages), walk_(view, plan), shared_(shared) {
    unit_ = walk_.next();
    for (int i = 0; i < stages_; ++i) load_next();
  }

  __device__ __forceinline__ std::byte* stage(int tile) const {
    return shared_ + (tile & (stages_ - 1)) * KvTile::kBytes;
  }
  /// Starts the copies of the next tile, if there is one, into the stage of the oldest.
  __device__ __forceinline__ void load_next() {
    if (unit_.tiles > 0) {
      KvTile(stage(loaded_++)).load(view_, unit_.pages, unit_.start + tile_ * kSplitTile);
      if (++tile_ == unit_.tiles) {
        unit_ = walk_.next();
        tile_ = 0;
      }
    }
    end_copy_group();
  }
  /// Until the oldest tile that was not waited for is there; by all threads.
  __device__ __forceinline__ void wait() const {
    if (stages_ == 1) {
      wait_for_copies<0>();
    } else {
      wait_for_copies<1>();
    }
    __syncthreads();
  }

 private:
  const AttentionView& view_;
  const int stages_;
  UnitWalk walk_;
  std::byte* shared_;
  Unit unit_;
  int tile_ = 0, loaded_ = 0;
};

/// A unit's queries on their way from memory to operands in shared memory: asked for a unit ahead.
template <int kHeadDim>
class QueryFeed {
  static constexpr int kSteps = kHeadDim / 16, kWarps = kTileThreads / 32;

 public:
  static constexpr int kBytes = kSteps * 32 * 16;

  __device__ __forceinline__ void ask(const AttentionView& view, const Unit& unit) {
    if (unit.tiles == 0) return;
    const int64_t head =
        int64_t{view.first_row[unit.work.sequence]} * view.heads + unit.work.first_head;
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      const int step = warp + kWarps * i;
      pairs_[i] = {};
      if (step >= kSteps || lane / 4 >= unit.work.heads) continue;
      const float* at = view.q + head * kHeadDim + first_of_pairs<kHeadDim>(step);
      pairs_[i] = {
          {make_float2(__ldcg(at), __ldcg(at + 1)), make_float2(__ldcg(at + 8), __ldcg(at + 9))}};
    }
  }
  /// A barrier follows.
  template <typename T>
  __device__ __forceinline__ void put(float scale, uint4* operands) const {
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      const int at = static_cast<int>(threadIdx.x) + kTileThreads * i;
      if (at < kSteps * 32) operands[at] = as_words(query_operand<T>(pairs_[i], scale));
    }
  }

 private:
  static constexpr int kRounds = (kSteps + kWarps - 1) / kWarps;
  QueryPairs pairs_[kRounds];
};

/// As many blocks as are on the chip at once. Shared memory: queries' operands, then tiles.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kTileThreads, kHeadDim > 128 ? 2 : 3)
    decode_kernel(AttentionView view, DecodePlan plan) {
  using Sums = WarpSums<kHeadDim>;
  using Feed = TileFeed<T, kHeadDim>;
  static_assert(sizeof(Sums) <= Feed::KvTile::kBytes);
  extern __shared__ __align__(128) std::byte shared[];
  auto* const operands = reinterpret_cast<uint4*>(shared);
  const SharedQueries queries{operands + threadIdx.x % 32};
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
  let_next_start();
  wait_for_previous();
  UnitWalk walk(view, plan);
  QueryFeed<kHeadDim> asked;
  Unit unit = walk.next();
  asked.ask(view, unit);
  Feed feed(view, plan, shared + QueryFeed<kHeadDim>::kBytes);
  for (int tile = 0; unit.tiles > 0;) {
    asked.template put<T>(query_scale(view), operands);
    const Unit next = walk.next();
    asked.ask(view, next);
    DecodeWarp<T, kHeadDim> warp(queries);
    for (int n = 0; n < unit.tiles; ++n, ++tile) {
      feed.wait();
      const int32_t start = unit.start + n * kSplitTile + column;
      warp.add(typename Feed::KvTile(feed.stage(tile)), column, start, unit.pages.first,
               unit.pages.end, view.soft_cap);
      __syncthreads();
      if (n + 1 < unit.tiles) feed.load_next();
    }
    // The stage of the last tile has the sums before it has another tile.
    auto& sums = *reinterpret_cast<Sums*>(feed.stage(tile - 1));
    sums.put(warp);
    __syncthreads();
    leave(view, plan, unit.work, sums, unit.only);
    __syncthreads();
    feed.load_next();
    unit = next;
  }
}

/// Block (head, sequence): the splits of a row, added in their order.
__global__ void __launch_bounds__(kTileThreads) merge_kernel(AttentionView view, DecodePlan plan) {
  __shared__ float2 parts[kSplitsMax];
  __shared__ float factors[kSplitsMax];
  let_next_start();
  wait_for_previous();
  const int sequence = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  const int splits = RowRange(view, sequence).splits;
  if (splits == 1) return;
  const int64_t row = int64_t{sequence} * view.heads + blockIdx.x;
  if (thread < splits) parts[thread] = __ldcg(plan.largest_total + row * plan.splits + thread);
  __syncthreads();
  const float largest = largest_of(parts, splits);
  if (thread < splits) factors[thread] = power_of_two(parts[thread].x - largest);
  __syncthreads();
  const float* sums = plan.sums + row * plan.splits * view.head_dim;
  float* out =
      view.out + (int64_t{view.first_row[sequence]} * view.heads + blockIdx.x) * view.head_dim;
  for (int i = thread; i < view.head_dim; i += kTileThreads) {
    out[i] = merged(parts, factors, splits, sums, view.head_dim, i);
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

template <typename T, int kHeadDim>
bool launch_decode(const OpContext& context, const AttentionRun& run, DecodePlan plan) {
  constexpr int kTileBytes = Tile<T, kHeadDim, kSplitTile>::kBytes;
  constexpr int kQueryBytes = QueryFeed<kHeadDim>::kBytes;
  static Residency residency;
  const DeviceTraits device = device_traits();
  if (device.compute_capability < 80 && !std::is_same_v<T, __half>) return false;
  if (kQueryBytes + kTileBytes > device.shared_bytes_max) return false;
  const AttentionView& view = run.view;
  plan.stages = kQueryBytes + 2 * kTileBytes > device.shared_bytes_max ? 1 : 2;
  const int shared = kQueryBytes + plan.stages * kTileBytes;
  const auto* kernel = reinterpret_cast<const void*>(decode_kernel<T, kHeadDim>);
  const int blocks = std::min(residency.blocks(kernel, kTileThreads, shared),
                              view.kv_heads * plan.head_blocks * plan.sequences * plan.splits);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(blocks)),
          .block = dim3(kTileThreads),
          .shared_bytes = static_cast<size_t>(shared)},
         decode_kernel<T, kHeadDim>, view, plan);
  if (plan.splits > 1) {
    launch(context,
           {.grid = dim3(static_cast<unsigned>(view.heads), static_cast<unsigned>(plan.sequences)),
            .block = dim3(kTileThreads)},
           merge_kernel, view, plan);
  }
  return true;
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
  return largest_total_bytes(limits.sequences, limits.heads, splits) +
         round_up(sums * static_cast<int64_t>(sizeof(float)), 256);
}

bool attention_decode(const OpContext& context, const AttentionRun& run,
                      std::span<std::byte> scratch) {
  const AttentionView& view = run.view;
  DecodePlan plan;
  plan.sequences = static_cast<int32_t>(run.slices.size());
  plan.splits = splits_max(visible_max(run.longest, view.window));
  plan.head_blocks = (view.group + kBlockHeads - 1) / kBlockHeads;
  const int64_t first = largest_total_bytes(std::ssize(run.slices), view.heads, plan.splits);
  const int64_t sums = std::ssize(run.slices) * view.heads * plan.splits * view.head_dim;
  CHECK(first + sums * static_cast<int64_t>(sizeof(float)) <= std::ssize(scratch),
        "scratch: less than scratch_bytes() asked for");
  plan.largest_total = reinterpret_cast<float2*>(scratch.data());
  plan.sums = reinterpret_cast<float*>(scratch.data() + first);
  if (run.dtype == base::DType::kF16) return launch_decode<__half>(context, run, plan);
  if (run.dtype == base::DType::kBF16) return launch_decode<__nv_bfloat16>(context, run, plan);
  return false;
}

}  // namespace neuros::kernels::cuda
