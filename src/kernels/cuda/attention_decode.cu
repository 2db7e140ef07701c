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

#include <algorithm>
#include <bit>
#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

template <typename T, int kHeadDim>
__device__ void attend(const AttentionView& view, const DecodePlan& plan, const RowRange& row,
                       const DecodeWork& work, std::byte* shared) {
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  const int32_t start = row.begin + work.split * row.split;
  HeadPages pages = pages_of(view, work.sequence, work.kv_head);
  pages.first = row.first;
  pages.end = min(row.end, start + row.split);
  const int tiles = (pages.end - start + kSplitTile - 1) / kSplitTile;
  const auto tile = [&](int n) { return KvTile(shared + n % plan.stages * KvTile::kBytes); };
  TileStream stream{tiles, plan.stages,
                    [&](int n) { tile(n).load(view, pages, start + n * kSplitTile); }};
  stream.start();
  const int64_t head = int64_t{view.first_row[work.sequence]} * view.heads + work.first_head;
  DecodeWarp<T, kHeadDim> warp(
      RegisterQueries<T, kHeadDim>(view.q + head * kHeadDim, work.heads, query_scale(view)));
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
  stream.finish([&](int n) {
    warp.add(tile(n), column, start + n * kSplitTile + column, pages.first, pages.end,
             view.soft_cap);
  });
  auto& sums = *reinterpret_cast<WarpSums<kHeadDim>*>(shared);
  static_assert(sizeof(sums) <= KvTile::kBytes);
  sums.put(warp);
  __syncthreads();
  leave(view, plan, work, sums, row.splits == 1);
}

/// Block (i, KV head and part of its heads, sequence): every gridDim.x-th split from i on.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kTileThreads, kHeadDim > 128 ? 2 : 3)
    decode_kernel(AttentionView view, DecodePlan plan) {
  extern __shared__ __align__(128) std::byte shared[];
  let_next_start();
  wait_for_previous();
  const int kv_head = static_cast<int>(blockIdx.y) / plan.head_blocks;
  const int in_group = static_cast<int>(blockIdx.y) % plan.head_blocks * kBlockHeads;
  DecodeWork work{.sequence = static_cast<int>(blockIdx.z),
                  .split = static_cast<int>(blockIdx.x),
                  .kv_head = kv_head,
                  .first_head = kv_head * view.group + in_group,
                  .heads = min(kBlockHeads, view.group - in_group)};
  const RowRange row(view, work.sequence);
  for (; work.split < row.splits; work.split += static_cast<int>(gridDim.x)) {
    attend<T, kHeadDim>(view, plan, row, work, shared);
    __syncthreads();
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

/// Blocks that share the splits of one row: few where there are many rows, so that not many find
/// nothing to do where one row is much longer than the others.
int32_t blocks_of_row(const AttentionRun& run, const DecodePlan& plan, const DeviceTraits& device) {
  constexpr int kWaves = 4, kResident = 3;  // of blocks, and on a multiprocessor
  const auto rows = static_cast<int32_t>(run.slices.size()) * run.view.kv_heads * plan.head_blocks;
  return std::clamp(kWaves * kResident * device.multiprocessors / rows, 1, plan.splits);
}

template <typename T, int kHeadDim>
bool launch_decode(const OpContext& context, const AttentionRun& run, DecodePlan plan) {
  constexpr int kTileBytes = Tile<T, kHeadDim, kSplitTile>::kBytes;
  const DeviceTraits device = device_traits();
  if (device.compute_capability < 80 && !std::is_same_v<T, __half>) return false;
  if (kTileBytes > device.shared_bytes_max) return false;
  const AttentionView& view = run.view;
  const bool one_tile = split_positions(visible_max(run.longest, view.window)) == kSplitTile;
  plan.stages = one_tile || 2 * kTileBytes > device.shared_bytes_max ? 1 : 2;
  allow_shared(decode_kernel<T, kHeadDim>, plan.stages * kTileBytes);
  const auto sequences = static_cast<unsigned>(run.slices.size());
  launch(context,
         {.grid = dim3(static_cast<unsigned>(blocks_of_row(run, plan, device)),
                       static_cast<unsigned>(view.kv_heads * plan.head_blocks), sequences),
          .block = dim3(kTileThreads),
          .shared_bytes = static_cast<size_t>(plan.stages * kTileBytes)},
         decode_kernel<T, kHeadDim>, view, plan);
  if (plan.splits > 1) {
    launch(
        context,
        {.grid = dim3(static_cast<unsigned>(view.heads), sequences), .block = dim3(kTileThreads)},
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
