#pragma once

/// The attention phase of a step. A unit is one split of one KV head, for up to eight of its query
/// heads: a block finishes these heads, and the new key and value where they are in its split, and
/// leaves the split's sums. The block that is the last of a row's splits adds them up.
/// attention_split.cuh has what attention_decode.cu does likewise.

#include "kernels/cuda/attention_split.cuh"
#include "kernels/cuda/finish_head.cuh"
#include "kernels/cuda/step_product.cuh"

namespace neuros::kernels::cuda {

/// Shared memory of the phase beside the tile.
struct StepAttentionShared {
  float heads[kBlockHeads][kHeadDimMax];
  float new_key[kHeadDimMax];
  float2 parts[kBlockHeads][kSplitsMax];
  float factors[kBlockHeads][kSplitsMax];
  uint32_t is_last;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The views of one phase.
__device__ __forceinline__ HeadsView heads_of(const StepHeads& common, const StepAttention& phase) {
  HeadsView view = common.heads;
  view.q = const_cast<float*>(phase.q);
  view.k = phase.k;
  view.v = phase.v;
  view.q_norm = phase.q_norm;
  view.k_norm = phase.k_norm;
  view.layer = phase.layer;
  return view;
}
__device__ __forceinline__ AttentionView attention_of(const StepHeads& common,
                                                      const StepAttention& phase) {
  AttentionView view = common.attention;
  view.q = phase.q;
  view.out = phase.out;
  view.layer = phase.layer;
  view.window = phase.window;
  return view;
}

/// Queries of the unit to shared memory; key and value of the row to their page, if `is_newest`.
template <typename T>
__device__ __forceinline__ void finish_heads(const HeadsView& view, const DecodeWork& work,
                                             bool is_newest, StepAttentionShared& shared) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const float* rope = rope_of(view, 0);
  if (warp < work.heads) {
    const float* q = view.q + (work.first_head + warp) * view.head_dim;
    finish_head(view, q, view.q_norm, rope, shared.heads[0] + warp * view.head_dim);
  } else if (is_newest && warp == kBlockHeads) {
    store_key<T>(view, 0, work.kv_head, rope, shared.new_key);
  } else if (is_newest && warp == kBlockHeads + 1) {
    store_value<T>(view, 0, work.kv_head);
  }
}

template <typename T, int kHeadDim>
__device__ __forceinline__ void attend_split(const HeadsView& heads, const AttentionView& view,
                                             const DecodePlan& plan, const RowRange& row,
                                             const DecodeWork& work, std::byte* area,
                                             StepAttentionShared& shared) {
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  const bool attends = threadIdx.x < kTileThreads;
  const int32_t start = row.begin + work.split * row.split;
  const bool is_newest = work.split + 1 == row.splits;
  HeadPages pages = pages_of(view, 0, work.kv_head);
  pages.first = row.first;
  pages.end = min(row.end, start + row.split);
  const int tiles = (pages.end - start + kSplitTile - 1) / kSplitTile;
  const KvTile tile(area);
  TileStream stream{tiles, 1, [&](int n) {
                      if (attends) tile.load(view, pages, start + n * kSplitTile);
                    }};
  // The tile may be the one that the new key goes to.
  if (!is_newest) stream.start();
  finish_heads<T>(heads, work, is_newest, shared);
  __threadfence_block();
  StepThreads::sync();
  if (is_newest) stream.start();
  DecodeWarp<T, kHeadDim> warp(shared.heads[0], attends ? work.heads : 0, query_scale(view));
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
  stream.finish(
      [&](int n) {
        if (!attends) return;
        warp.add(tile, column, start + n * kSplitTile + column, pages.first, pages.end,
                 view.soft_cap);
      },
      [] { StepThreads::sync(); });
  auto& sums = *reinterpret_cast<WarpSums<kHeadDim>*>(area);
  static_assert(sizeof(sums) <= KvTile::kBytes);
  if (attends) sums.put(warp);
  StepThreads::sync();
  if (attends) leave(view, plan, work, sums, row.splits == 1);
}

/// Whether this block is the last of a row's splits to come here; it then sees what all have left.
__device__ __forceinline__ bool is_last_split(uint32_t* done, int splits,
                                              StepAttentionShared& shared) {
  StepThreads::sync();
  if (threadIdx.x == 0) {
    __threadfence();
    const bool is_last = atomicAdd(done, 1u) == static_cast<uint32_t>(splits - 1);
    shared.is_last = is_last ? 1u : 0u;
    if (is_last) *done = 0;
    __threadfence();
  }
  StepThreads::sync();
  return shared.is_last != 0;
}

/// Adds the splits of the unit's heads; four heads at a time.
__device__ __forceinline__ void merge_heads(const AttentionView& view, const DecodePlan& plan,
                                            const DecodeWork& work, int splits,
                                            StepAttentionShared& shared) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < work.heads * splits; i += kBlockThreads) {
    const int head = i / splits, split = i % splits;
    shared.parts[head][split] =
        __ldcg(plan.largest_total + (work.first_head + head) * plan.splits + split);
  }
  StepThreads::sync();
  for (int i = thread; i < work.heads * splits; i += kBlockThreads) {
    const int head = i / splits, split = i % splits;
    const float largest = largest_of(shared.parts[head], splits);
    shared.factors[head][split] = power_of_two(shared.parts[head][split].x - largest);
  }
  StepThreads::sync();
  for (int i = thread; i < work.heads * view.head_dim; i += kBlockThreads) {
    const int head = i / view.head_dim, element = i % view.head_dim;
    const int64_t at = work.first_head + head;
    const float* sums = plan.sums + at * plan.splits * view.head_dim;
    view.out[at * view.head_dim + element] =
        merged(shared.parts[head], shared.factors[head], splits, sums, view.head_dim, element);
  }
}

/// All units of this block.
template <typename T, int kHeadDim>
__device__ __forceinline__ void run_attention(const StepLaunch& launch, const StepAttention& phase,
                                           std::byte* area, StepAttentionShared& shared) {
  const HeadsView heads = heads_of(launch.heads, phase);
  const AttentionView view = attention_of(launch.heads, phase);
  DecodePlan plan;
  plan.splits = launch.heads.splits;
  plan.head_blocks = launch.heads.head_blocks;
  plan.sums = launch.heads.sums;
  plan.largest_total = launch.heads.largest_total;
  const RowRange row(view, 0);
  const int head_blocks = view.kv_heads * plan.head_blocks;
  for (int unit = static_cast<int>(blockIdx.x); unit < head_blocks * row.splits;
       unit += static_cast<int>(gridDim.x)) {
    const int head_block = unit % head_blocks;
    const int in_group = head_block % plan.head_blocks * kBlockHeads;
    const int kv_head = head_block / plan.head_blocks;
    const DecodeWork work{.sequence = 0,
                          .split = unit / head_blocks,
                          .kv_head = kv_head,
                          .first_head = kv_head * view.group + in_group,
                          .heads = min(kBlockHeads, view.group - in_group)};
    attend_split<T, kHeadDim>(heads, view, plan, row, work, area, shared);
    if (row.splits > 1 &&
        is_last_split(launch.counters->of_head_block + head_block, row.splits, shared)) {
      merge_heads(view, plan, work, row.splits, shared);
    }
    StepThreads::sync();
  }
}

#endif

}  // namespace neuros::kernels::cuda
