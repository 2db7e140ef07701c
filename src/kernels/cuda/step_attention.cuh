#pragma once

/// The attention phase of a step. A unit is one split of one KV head, for up to eight of its query
/// heads: a block finishes these heads, and the new key and value where they are in its split, and
/// leaves the split's sums. The block that is the last of a row's splits adds them up.
/// attention_split.cuh has what attention_decode.cu does likewise.

#include "kernels/cuda/attention_split.cuh"
#include "kernels/cuda/finish_head.cuh"
#include "kernels/cuda/step_product.cuh"

namespace neuros::kernels::cuda {

/// The row's place, and its pages, where all phases of a launch read them: what arrays of one
/// sequence and one row hold in DeviceBatch.
struct StepBatch {
  int32_t zero;  ///< first row, sequence of the row, where its pages start
  int32_t position;
  int32_t pages[kStepPagesMax];
};

/// Shared memory of the phase beside the tile.
struct StepAttentionShared {
  StepBatch batch;
  HeadsView heads_view;  ///< of the current phase, as `view`
  AttentionView view;
  uint4 queries[kHeadDimMax / 16][kLanes];  ///< operands, SharedQueries
  float heads[kBlockHeads][kHeadDimMax];
  float new_key[kHeadDimMax];
  float2 parts[kBlockHeads][kSplitsMax];
  float factors[kBlockHeads][kSplitsMax];
  uint32_t is_last;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// By all threads at the start of a launch; a barrier follows. Views lie in shared memory: what a
/// thread keeps for itself and has no registers for would come from far, with the first-level cache
/// as small as shared memory leaves it.
__device__ __forceinline__ void init_attention(const StepHeads& common,
                                               StepAttentionShared& shared) {
  if (common.attention.head_dim == 0) return;  // there is no attention
  const int32_t position = common.heads.positions[0];
  StepBatch& batch = shared.batch;
  if (threadIdx.x == 0) {
    batch.zero = 0;
    batch.position = position;
    shared.view = common.attention;
    shared.view.first_row = shared.view.page_start = &batch.zero;
    shared.view.first_position = &batch.position;
    shared.view.pages = batch.pages;
    shared.heads_view = common.heads;
    shared.heads_view.positions = &batch.position;
    shared.heads_view.sequence_of_row = shared.heads_view.page_start = &batch.zero;
    shared.heads_view.pages = batch.pages;
  }
  const int32_t* pages = common.heads.pages + common.heads.page_start[0];
  for (int i = static_cast<int>(threadIdx.x); i <= position / common.heads.page_tokens;
       i += kBlockThreads) {
    batch.pages[i] = pages[i];
  }
}

/// Makes the views those of a phase. By one thread, when the attention before is over; a barrier
/// follows.
__device__ __forceinline__ void enter_attention(const StepAttention& phase,
                                                StepAttentionShared& shared) {
  HeadsView& heads = shared.heads_view;
  heads.q = const_cast<float*>(phase.q);
  heads.k = phase.k;
  heads.v = phase.v;
  heads.q_norm = phase.q_norm;
  heads.k_norm = phase.k_norm;
  heads.layer = phase.layer;
  AttentionView& view = shared.view;
  view.q = phase.q;
  view.out = phase.out;
  view.layer = phase.layer;
  view.window = phase.window;
}

/// RegisterQueries in shared memory: registers are for sums here.
struct SharedQueries {
  const uint4* of_lane;

  __device__ __forceinline__ FragmentA at(int step) const {
    const uint4 words = of_lane[step * kLanes];
    return {{words.x, words.y, words.z, words.w}};
  }
};
/// By the warps of the block, a step a warp; a barrier follows.
template <typename T, int kHeadDim>
__device__ __forceinline__ void share_queries(const AttentionView& view, int heads,
                                              StepAttentionShared& shared) {
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = threadIdx.x % kLanes;
  if (warp >= kHeadDim / 16) return;
  const float* queries = shared.heads[0];
  const auto element = [&](int i) { return queries[i]; };
  const FragmentA a = query_operand<T, kHeadDim>(element, heads, query_scale(view), warp);
  shared.queries[warp][lane] = make_uint4(a.x[0], a.x[1], a.x[2], a.x[3]);
}

/// What a block does for one unit of an attention phase, as far as it depends on the row's place.
struct SplitPlace {
  DecodeWork work;
  int32_t start, end;  ///< positions
  int tiles;
  bool is_newest;  ///< it has the row's own position

  __device__ __forceinline__ SplitPlace(const AttentionView& view, int head_blocks,
                                        const RowRange& row, int unit) {
    const int all = view.kv_heads * head_blocks;
    const int head_block = unit % all;
    const int in_group = head_block % head_blocks * kBlockHeads;
    const int kv_head = head_block / head_blocks;
    work = {.sequence = 0,
            .split = unit / all,
            .kv_head = kv_head,
            .first_head = kv_head * view.group + in_group,
            .heads = min(kBlockHeads, view.group - in_group)};
    start = row.begin + work.split * row.split;
    end = min(row.end, start + row.split);
    tiles = (end - start + kSplitTile - 1) / kSplitTile;
    is_newest = work.split + 1 == row.splits;
  }

  __device__ __forceinline__ HeadPages pages(const AttentionView& view, const RowRange& row) const {
    HeadPages pages = pages_of(view, 0, work.kv_head);
    pages.first = row.first;
    pages.end = end;
    return pages;
  }
};

/// Starts the copies of the tile that this block's first unit begins with, long before the phase:
/// all but the newest position is there.
template <typename T, int kHeadDim>
__device__ __forceinline__ void start_first_tile(const StepLaunch& launch,
                                                 const StepAttention& phase,
                                                 const StepAttentionShared& shared, std::byte* at) {
  const AttentionView& view = shared.view;
  const RowRange row(view, 0);
  const int unit = static_cast<int>(blockIdx.x);
  if (unit < view.kv_heads * launch.heads.head_blocks * row.splits && threadIdx.x < kTileThreads) {
    const SplitPlace place(view, launch.heads.head_blocks, row, unit);
    Tile<T, kHeadDim, kSplitTile>(at).load(view, place.pages(view, row), place.start);
  }
  end_copy_group();
  if (threadIdx.x < kHeadDimMax / 32) {
    if (phase.q_norm != nullptr) prefetch_line(phase.q_norm + 32 * threadIdx.x % kHeadDim);
    if (phase.k_norm != nullptr) prefetch_line(phase.k_norm + 32 * threadIdx.x % kHeadDim);
  }
}

/// Queries of the unit to shared memory; key and value of the row to their page, if it is the
/// newest, and to their column and row of its tile, if they are not negative.
template <typename T, int kHeadDim>
__device__ __forceinline__ void finish_heads(const HeadsView& view, const SplitPlace& place,
                                             const Tile<T, kHeadDim, kSplitTile>& tile, int in_tile,
                                             StepAttentionShared& shared) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const DecodeWork& work = place.work;
  const bool is_key = place.is_newest && warp == kBlockHeads;
  if (warp < work.heads || is_key) {
    const float* from = is_key ? view.k + int64_t{work.kv_head} * kHeadDim
                               : view.q + int64_t{work.first_head + warp} * kHeadDim;
    float* to = is_key ? shared.new_key : shared.heads[0] + warp * kHeadDim;
    finish_head<kHeadDim>(view, from, is_key ? view.k_norm : view.q_norm, rope_of(view, 0), to);
    if (!is_key) return;
    store_key<T>(view, 0, work.kv_head, to);
    if (in_tile < 0) return;
    for (int i = lane; i < kHeadDim; i += 32) {
      tile.keys[i * tile.kKeyStride + in_tile] = from_float<T>(to[i]);
    }
  } else if (place.is_newest && warp == kBlockHeads + 1) {
    store_value<T>(view, 0, work.kv_head);
    if (in_tile < 0) return;
    const float* v = view.v + int64_t{work.kv_head} * kHeadDim;
    for (int i = lane; i < kHeadDim; i += 32) {
      tile.values[in_tile * tile.kValueStride + i] = from_float<T>(__ldcg(v + i));
    }
  }
}

template <typename T, int kHeadDim>
__device__ __forceinline__ void attend_split(const HeadsView& heads, const AttentionView& view,
                                             const DecodePlan& plan, const RowRange& row,
                                             const SplitPlace& place, bool is_started,
                                             std::byte* at, StepAttentionShared& shared) {
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  const bool attends = threadIdx.x < kTileThreads;
  const HeadPages pages = place.pages(view, row);
  const KvTile tile(at);
  if (attends && !is_started) tile.load(view, pages, place.start);
  end_copy_group();
  wait_for_copies<0>();
  StepThreads::sync();
  const int32_t newest = row.end - 1 - place.start;
  finish_heads<T, kHeadDim>(heads, place, tile, newest < kSplitTile ? newest : -1, shared);
  __threadfence_block();
  StepThreads::sync();
  share_queries<T, kHeadDim>(view, place.work.heads, shared);
  StepThreads::sync();
  DecodeWarp<T, kHeadDim, SharedQueries> warp(
      SharedQueries{shared.queries[0] + threadIdx.x % kLanes});
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
#pragma unroll 1
  for (int n = 0; n < place.tiles; ++n) {
    const int32_t start = place.start + n * kSplitTile;
    if (n > 0) {
      if (attends) tile.load(view, pages, start);
      end_copy_group();
      wait_for_copies<0>();
      StepThreads::sync();
    }
    if (attends) {
      warp.add(tile, column, start + column, pages.first, pages.end, view.soft_cap);
    }
    StepThreads::sync();
  }
  auto& sums = *reinterpret_cast<WarpSums<kHeadDim>*>(at);
  static_assert(sizeof(sums) <= KvTile::kBytes);
  if (attends) sums.put(warp);
  StepThreads::sync();
  if (attends) leave(view, plan, place.work, sums, row.splits == 1);
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

/// All units of this block; `is_started`: after start_first_tile().
template <typename T, int kHeadDim>
__device__ __forceinline__ void attend_units(const StepLaunch& launch, bool is_started,
                                             std::byte* tile, StepAttentionShared& shared) {
  const HeadsView& heads = shared.heads_view;
  const AttentionView& view = shared.view;
  DecodePlan plan;
  plan.splits = launch.heads.splits;
  plan.sums = launch.heads.sums;
  plan.largest_total = launch.heads.largest_total;
  const RowRange row(view, 0);
  const int head_blocks = view.kv_heads * launch.heads.head_blocks;
  const int first = static_cast<int>(blockIdx.x);
  for (int unit = first; unit < head_blocks * row.splits; unit += static_cast<int>(gridDim.x)) {
    const SplitPlace place(view, launch.heads.head_blocks, row, unit);
    attend_split<T, kHeadDim>(heads, view, plan, row, place, is_started && unit == first, tile,
                              shared);
    if (row.splits > 1 &&
        is_last_split(launch.counters->of_head_block + unit % head_blocks, row.splits, shared)) {
      merge_heads(view, plan, place.work, row.splits, shared);
    }
    StepThreads::sync();
  }
}

#endif

}  // namespace neuros::kernels::cuda
