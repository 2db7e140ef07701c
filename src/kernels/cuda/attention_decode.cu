/// Attention of single rows over long contexts, split along the keys
/// (https://crfm.stanford.edu/2023/10/12/flashdecoding.html). The visible positions of a row are
/// cut into splits whose length depends on their number alone, so that its bits do; a block takes
/// one KV head for up to eight of its query heads and leaves each split's sums relative to the
/// split's own largest score; a second kernel adds the splits in their order.
///
/// A warp of a block finds the tiles and copies them, the other four multiply: what it takes to
/// know where a tile lies, loads one after another, holds nobody up. Bound: keys and values at the
/// speed of memory. Of a tile, 32 KB for 128 dimensions, that is 5,800 clocks of a block where
/// three share a multiprocessor; multiplying takes some 1,000 of them, the end of a split as many.
///
/// Products run on tensor cores at nearly float's precision: queries and softmax weights are
/// sums of two 16-bit numbers, and of the 16 rows that an instruction has, the eight heads take
/// rows 0 to 7 for the coarse part and 8 to 15 for the fine one.

#include "kernels/cuda/attention_stages.cuh"
#include "kernels/cuda/attention_units.cuh"
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

/// The warp that feeds: tiles of all units through the stages in turn, whatever the other warps
/// do with the sums of a unit.
template <typename T, int kHeadDim>
__device__ __forceinline__ void feed_tiles(const AttentionView& view, const DecodePlan& plan,
                                           const StageBarriers& barriers, std::byte* stages) {
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  UnitWalk walk(view, plan);
  KnownPages known(view);
  int count = 0;  // of tiles
  for (Unit unit = walk.next(); unit.tiles > 0; unit = walk.next()) {
    for (int n = 0; n < unit.tiles; ++n, ++count) {
      const int32_t start = unit.start + n * kSplitTile;
      const KvTile tile(stages + barriers.stage(count) * KvTile::kBytes);
      const bool is_whole = start >= unit.pages.first && start + kSplitTile <= unit.pages.end;
      if (is_whole) known.learn(unit, start);
      barriers.wait_empty(count);
      if (is_whole) {
        tile.template load_whole<32>(view, known, start);
      } else {
        tile.template load<32>(view, unit.pages, start);
      }
      barriers.fill(count);
    }
  }
  end_copy_group();
  wait_for_copies<0>();
}

/// Puts a unit's queries as operands in shared memory, by all threads that multiply.
template <typename T, int kHeadDim>
__device__ __forceinline__ void put_queries(const AttentionView& view, const DecodeWork& work,
                                            uint4* operands) {
  constexpr int kSteps = kHeadDim / 16, kWarps = kTileThreads / 32;
  const int64_t head = int64_t{view.first_row[work.sequence]} * view.heads + work.first_head;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int step = warp; step < kSteps; step += kWarps) {
    QueryPairs pairs{};
    if (lane / 4 < work.heads) {
      const float* at = view.q + head * kHeadDim + first_of_pairs<kHeadDim>(step);
      pairs = {
          {make_float2(__ldcg(at), __ldcg(at + 1)), make_float2(__ldcg(at + 8), __ldcg(at + 9))}};
    }
    operands[step * 32 + lane] = as_words(query_operand<T>(pairs, query_scale(view)));
  }
}
template <int kHeadDim>
constexpr int kQueryBytes = kHeadDim / 16 * 32 * 16;

/// The other warps.
template <typename T, int kHeadDim>
__device__ __forceinline__ void attend(const AttentionView& view, const DecodePlan& plan,
                                       const StageBarriers& barriers, uint4* operands,
                                       std::byte* stages) {
  using Sums = WarpSums<kHeadDim>;
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  static_assert(sizeof(Sums) <= KvTile::kBytes);
  const SharedQueries queries{operands + threadIdx.x % 32};
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
  const auto at = [&](int tile) { return stages + barriers.stage(tile) * KvTile::kBytes; };
  UnitWalk walk(view, plan);
  int tile = 0;
  for (Unit unit = walk.next(); unit.tiles > 0; unit = walk.next()) {
    if (unit.is_new) {
      put_queries<T, kHeadDim>(view, unit.work, operands);
      StageBarriers::meet();
    }
    DecodeWarp<T, kHeadDim> warp(queries);
    for (int n = 0; n < unit.tiles; ++n, ++tile) {
      if (n > 0) barriers.empty(tile - 1);
      barriers.wait_full(tile);
      warp.add(KvTile(at(tile)), column, unit.start + n * kSplitTile + column, unit.pages.first,
               unit.pages.end, view.soft_cap);
    }
    // The stage of the last tile has the sums before it has another tile.
    auto& sums = *reinterpret_cast<Sums*>(at(tile - 1));
    StageBarriers::meet();
    sums.put(warp);
    StageBarriers::meet();
    leave(view, plan, unit.work, sums, unit.only);
    barriers.empty(tile - 1);
  }
}

/// As many blocks as are on the chip at once. Shared memory: queries' operands, then tiles.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kDecodeThreads, kHeadDim > 128 ? 2 : 3)
    decode_kernel(const __grid_constant__ AttentionView view,
                  const __grid_constant__ DecodePlan plan) {
  extern __shared__ __align__(128) std::byte shared[];
  auto* const operands = reinterpret_cast<uint4*>(shared);
  std::byte* const stages = shared + kQueryBytes<kHeadDim>;
  let_next_start();
  const StageBarriers barriers(plan.stages);
  wait_for_previous();
  if (threadIdx.x < kTileThreads) {
    attend<T, kHeadDim>(view, plan, barriers, operands, stages);
  } else {
    feed_tiles<T, kHeadDim>(view, plan, barriers, stages);
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
  constexpr int kQueries = kQueryBytes<kHeadDim>;
  static Residency residency;
  const DeviceTraits device = device_traits();
  if (device.compute_capability < 80 && !std::is_same_v<T, __half>) return false;
  if (kQueries + kTileBytes > device.shared_bytes_max) return false;
  const AttentionView& view = run.view;
  plan.stages = kQueries + 2 * kTileBytes > device.shared_bytes_max ? 1 : 2;
  const int shared = kQueries + plan.stages * kTileBytes;
  const auto* kernel = reinterpret_cast<const void*>(decode_kernel<T, kHeadDim>);
  const int blocks = std::min(residency.blocks(kernel, kDecodeThreads, shared),
                              view.kv_heads * plan.head_blocks * plan.sequences * plan.splits);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(blocks)),
          .block = dim3(kDecodeThreads),
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
