#pragma once

/// The attention phase of a step. A unit is one split of one KV head, for up to eight of its query
/// heads: a block finishes these heads, and the new key and value where they are in its split, and
/// leaves the split's sums. Then the blocks of a row's splits each add up a slice of its elements.
/// attention_split.cuh has what attention_decode.cu does likewise.

#include "kernels/cuda/attention_split.cuh"
#include "kernels/cuda/finish_head.cuh"
#include "kernels/cuda/step_product.cuh"

namespace neuros::kernels::cuda {

inline constexpr int kStepHeadDimMax = 128;

/// The row's place, and its pages, where all phases of a launch read them: what arrays of one
/// sequence and one row hold in DeviceBatch.
struct StepBatch {
  int32_t zero;  ///< first row, sequence of the row, where its pages start
  int32_t position;
  int32_t pages[kStepPagesMax];
};

/// What a block does for one unit of an attention phase, as far as it depends on the row's place.
struct SplitPlace {
  DecodeWork work;
  int32_t start, end;  ///< positions
  int tiles;
  bool is_newest;  ///< it has the row's own position

  SplitPlace() = default;
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

/// Shared memory of the phase beside the tile.
struct StepAttentionShared {
  StepBatch batch;
  HeadsView heads_view;  ///< of the current phase, as `view`
  AttentionView view;
  int32_t window;  ///< that the two below are for; negative: they are not set
  RowRange row;
  SplitPlace first;  ///< this block's first unit, of a phase that has one for it
  uint4 queries[kStepHeadDimMax / 16][kLanes];  ///< operands, SharedQueries
  float heads[kBlockHeads][kStepHeadDimMax];
  float new_key[kStepHeadDimMax], new_value[kStepHeadDimMax];
  float2 totals[kBlockHeads][kSplitsMax];  ///< of all splits: largest score, sum of powers
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
  if (thread_index() == 0) {
    shared.window = -1;
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
  for (int i = thread_index(); i <= position / common.heads.page_tokens; i += kBlockThreads) {
    batch.pages[i] = pages[i];
  }
}

/// Makes the views those of a phase, and what follows from its window. By one thread, when the
/// attention before is over; a barrier follows.
__device__ __forceinline__ void enter_attention(const StepAttention& phase, int head_blocks,
                                                StepAttentionShared& shared) {
  HeadsView& heads = shared.heads_view;
  heads.q_norm = phase.q_norm;
  heads.k_norm = phase.k_norm;
  heads.layer = phase.layer;
  AttentionView& view = shared.view;
  view.out = phase.out;
  view.layer = phase.layer;
  view.window = phase.window;
  if (shared.window == phase.window) return;
  shared.window = phase.window;
  shared.row = RowRange(view, 0);
  shared.first = SplitPlace(view, head_blocks, shared.row, static_cast<int>(blockIdx.x));
}

/// The operands of a head, or zeros for one that is not there; by warp `head`.
template <typename T, int kHeadDim>
__device__ __forceinline__ void share_query(const AttentionView& view, int head, bool exists,
                                            StepAttentionShared& shared) {
  const int lane = thread_index() % kLanes, step = lane / 4, t = lane % 4;
  if (step >= kHeadDim / 16) return;
  QueryPairs pairs{};
  if (exists) {
    const float* at = shared.heads[0] + head * kHeadDim + 16 * step + 2 * t;
    pairs = {{make_float2(at[0], at[1]), make_float2(at[8], at[9])}};
  }
  shared.queries[step][4 * head + t] = as_words(query_operand<T>(pairs, query_scale(view)));
}

/// Starts the copies of the tile that this block's first unit begins with, before the phase: all
/// but the newest position is there. By all threads.
template <typename T, int kHeadDim>
__device__ __forceinline__ void start_first_tile(const StepAttentionShared& shared, int head_blocks,
                                                 std::byte* at) {
  const AttentionView& view = shared.view;
  const RowRange& row = shared.row;
  if (static_cast<int>(blockIdx.x) < view.kv_heads * head_blocks * row.splits) {
    const SplitPlace& place = shared.first;
    const HeadPages pages = place.pages(view, row);
    const Tile<T, kHeadDim, kSplitTile> tile(at);
    tile.template load<kBlockThreads>(view, pages, place.start, thread_index());
  }
  end_copy_group();
}

/// finish_head() of a head whose elements come as words. What the head needs beside them is loaded
/// before it waits for them.
template <int kHeadDim>
__device__ __forceinline__ void finish_words(const HeadsView& view, const uint32_t* words,
                                             const float* norm, float* head) {
  constexpr int kPerLane = kHeadDim / kLanes;
  const int lane = thread_index() % kLanes;
  const int pairs = view.rope == nullptr ? 0 : view.rope_dims / 2;
  uint32_t asked[kPerLane];
  float weight[kPerLane];
  float2 turn[kPerLane / 2]{};
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) asked[j] = ask_word(words + lane + kLanes * j);
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) weight[j] = norm == nullptr ? 1.0f : norm[lane + kLanes * j];
#pragma unroll
  for (int j = 0; j < kPerLane / 2; ++j) {
    const int pair = lane + kLanes * j;
    if (pair < pairs) turn[j] = make_float2(view.rope[2 * pair], view.rope[2 * pair + 1]);
  }
  float x[kPerLane];
  float squares = 0.0f;
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    x[j] = await_word(words + lane + kLanes * j, asked[j]);
    squares = __fmaf_rn(x[j], x[j], squares);
  }
  if (norm != nullptr) {
    const float factor = head_norm_factor(warp_sum(squares), view);
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) x[j] = x[j] * factor * weight[j];
  }
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) head[lane + kLanes * j] = x[j];
  __syncwarp();
#pragma unroll
  for (int j = 0; j < kPerLane / 2; ++j) {
    const int pair = lane + kLanes * j;
    if (pair < pairs) turn_pair(view, pair, pairs, turn[j], head);
  }
  __syncwarp();
}

/// Operands of the unit's heads to shared memory, key and value where they are the newest, and
/// these to their page; a head a warp.
template <typename T, int kHeadDim>
__device__ __forceinline__ void finish_heads(const HeadsView& view, const StepAttention& phase,
                                             const uint32_t* words, const SplitPlace& place,
                                             StepAttentionShared& shared) {
  const int warp = thread_index() / kLanes;
  const int lane = thread_index() % kLanes;
  const DecodeWork& work = place.work;
  if (warp < kBlockHeads) {
    if (warp < work.heads) {
      const uint32_t* q = words + phase.q_words + (work.first_head + warp) * kHeadDim;
      finish_words<kHeadDim>(view, q, view.q_norm, shared.heads[0] + warp * kHeadDim);
    }
    share_query<T, kHeadDim>(shared.view, warp, warp < work.heads, shared);
  } else if (place.is_newest && warp == kBlockHeads) {
    const uint32_t* k = words + phase.k_words + work.kv_head * kHeadDim;
    T* const page = key_place<T>(view, 0, work.kv_head);
    finish_words<kHeadDim>(view, k, view.k_norm, shared.new_key);
    store_key<T>(view, page, shared.new_key);
  } else if (place.is_newest && warp == kBlockHeads + 1) {
    const uint32_t* v = words + phase.v_words + work.kv_head * kHeadDim;
    T* page = value_place<T>(view, 0, work.kv_head);
    for (int i = lane; i < kHeadDim; i += kLanes) {
      shared.new_value[i] = await_word(v + i, 0);
      page[i] = from_float<T>(shared.new_value[i]);
    }
  }
}

/// The newest key and value to column and row `in_tile` of a tile whose copies are over.
template <typename T, int kHeadDim>
__device__ __forceinline__ void add_newest(const Tile<T, kHeadDim, kSplitTile>& tile, int in_tile,
                                           const StepAttentionShared& shared) {
  const int i = thread_index() - kBlockHeads * kLanes;
  if (i >= 0 && i < kHeadDim) {
    tile.keys[i * tile.kKeyStride + in_tile] = from_float<T>(shared.new_key[i]);
    tile.values[in_tile * tile.kValueStride + i] = from_float<T>(shared.new_value[i]);
  }
}

/// Two floats with the number of their phase, in one access: what is read with the right number is
/// what was written. Numbers never come again.
__device__ __forceinline__ void put_pair(std::byte* at, float2 pair, uint64_t number) {
  const uint64_t bits = uint64_t{__float_as_uint(pair.y)} << 32 | __float_as_uint(pair.x);
  asm volatile(
      "{\n"
      ".reg .b128 both;\n"
      "mov.b128 both, {%1, %2};\n"
      "st.relaxed.gpu.global.b128 [%0], both;\n"
      "}\n" ::"l"(at),
      "l"(bits), "l"(number)
      : "memory");
}
__device__ __forceinline__ float2 await_pair(const std::byte* at, uint64_t number) {
  uint64_t bits, found;
  do {
    asm volatile(
        "{\n"
        ".reg .b128 both;\n"
        "ld.relaxed.gpu.global.b128 both, [%2];\n"
        "mov.b128 {%0, %1}, both;\n"
        "}\n"
        : "=l"(bits), "=l"(found)
        : "l"(at)
        : "memory");
  } while (found != number);
  return make_float2(__uint_as_float(static_cast<uint32_t>(bits)),
                     __uint_as_float(static_cast<uint32_t>(bits >> 32)));
}

/// One attention phase of a launch.
struct StepAttentionRun {
  const StepAttention& phase;
  uint32_t* words;  ///< of the launch
  uint64_t number;  ///< of this phase, among those of all launches
  int head_blocks, splits;
  std::byte* split_sums;  ///< StepHeads

  /// What the splits of a head leave.
  __device__ __forceinline__ std::byte* sums(int head, int split, int head_dim) const {
    return split_sums + (head * splits + split) * split_sums_bytes(head_dim);
  }
  /// An element of the result: `at` of all heads'.
  __device__ __forceinline__ void put(int at, float value) const {
    if (phase.out_words >= 0) put_word(words + phase.out_words + at, value);
    phase.out[at] = value;
  }
};

/// Leaves a split's sums, or the row itself where it has one split only.
template <int kHeadDim>
__device__ __forceinline__ void leave(const StepAttentionRun& run, const DecodeWork& work,
                                      const WarpSums<kHeadDim>& warps, bool only) {
  constexpr int kPairs = kHeadDim / 2;
  for (int i = thread_index(); i < work.heads * kPairs; i += kBlockThreads) {
    const int h = i / kPairs, pair = i % kPairs, head = work.first_head + h;
    const auto by = warps.head(h);
    const float2 sum = make_float2(warps.sum(by, h, 2 * pair), warps.sum(by, h, 2 * pair + 1));
    if (only) {
      run.put(head * kHeadDim + 2 * pair, sum.x / by.total);
      run.put(head * kHeadDim + 2 * pair + 1, sum.y / by.total);
      continue;
    }
    std::byte* const to = run.sums(head, work.split, kHeadDim);
    put_pair(to + 16 * pair, sum, run.number);
    if (pair == 0) put_pair(to + 16 * kPairs, make_float2(by.largest, by.total), run.number);
  }
}

/// A tile on its way to shared memory in the registers of the block's last threads, which do not
/// attend, while those who do still need the tile before.
template <typename T, int kHeadDim>
class HeldTile {
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  static constexpr int kThreads = kBlockThreads / 2;
  static constexpr int kUnits = kHeadDim * kSplitTile * 2 / 16 / kThreads;  ///< 16 bytes each
  static_assert(kBlockThreads - kThreads >= kTileThreads);

 public:
  static __device__ __forceinline__ bool is_held() {
    return thread_index() >= kBlockThreads - kThreads;
  }
  /// What Tile::load() copies.
  __device__ __forceinline__ HeldTile(const AttentionView& view, const HeadPages& from,
                                      int32_t start)
      : view_(view), from_(from), start_(start) {
    const auto read_to = [](uint4(&units)[kUnits]) {
      return [&units](T* /*to*/, const std::byte* at, bool exists, int unit) {
        units[unit] = read(at, exists);
      };
    };
    const KvTile nowhere(nullptr);
    nowhere.template visit_keys<kThreads>(view, from, start, read_to(keys_), thread_index());
    nowhere.template visit_values<kThreads>(view, from, start, read_to(values_), thread_index());
  }
  /// When those who attend are done with what lies there.
  __device__ __forceinline__ void put(const KvTile& tile) const {
    const auto write_from = [](const uint4(&units)[kUnits]) {
      return [&units](T* to, const std::byte* /*at*/, bool /*exists*/, int unit) {
        *reinterpret_cast<uint4*>(to) = units[unit];
      };
    };
    StepThreads::sync();
    const int thread = thread_index();
    tile.template visit_keys<kThreads>(view_, from_, start_, write_from(keys_), thread);
    tile.template visit_values<kThreads>(view_, from_, start_, write_from(values_), thread);
  }

 private:
  static __device__ __forceinline__ uint4 read(const std::byte* at, bool exists) {
    uint4 unit;
    asm volatile(
        "{\n"
        ".reg .pred exists;\n"
        "setp.ne.u32 exists, %5, 0;\n"
        "mov.u32 %0, 0;\n"
        "mov.u32 %1, 0;\n"
        "mov.u32 %2, 0;\n"
        "mov.u32 %3, 0;\n"
        "@exists ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];\n"
        "}\n"
        : "=&r"(unit.x), "=&r"(unit.y), "=&r"(unit.z), "=&r"(unit.w)
        : "l"(at), "r"(static_cast<uint32_t>(exists))
        : "memory");
    return unit;
  }

  const AttentionView& view_;
  const HeadPages& from_;
  const int32_t start_;
  uint4 keys_[kUnits], values_[kUnits];
};

/// All tiles of a split, of which the first one is there; leaves the warps' sums in its place.
template <typename T, int kHeadDim>
__device__ __forceinline__ void attend_tiles(const Tile<T, kHeadDim, kSplitTile>& tile,
                                             const SplitPlace& place, const HeadPages& pages,
                                             const StepAttentionShared& shared,
                                             WarpSums<kHeadDim>& sums) {
  const AttentionView& view = shared.view;
  if (thread_index() < kTileThreads) {
    const int lane = thread_index() % kLanes;
    DecodeWarp<T, kHeadDim> warp(SharedQueries{shared.queries[0] + lane}, lane);
    const int column = kGranule * (thread_index() / kLanes);
#pragma unroll 1
    for (int n = 0; n < place.tiles; ++n) {
      if (n > 0) StepThreads::sync();
      const int32_t start = place.start + n * kSplitTile + column;
      warp.add(tile, column, start, pages.first, pages.end, view.soft_cap);
      StepThreads::sync();
    }
    sums.put(warp);
    return;
  }
#pragma unroll 1
  for (int n = 1; n < place.tiles; ++n) {
    if (HeldTile<T, kHeadDim>::is_held()) {
      HeldTile<T, kHeadDim>(view, pages, place.start + n * kSplitTile).put(tile);
    } else {
      StepThreads::sync();
    }
    StepThreads::sync();
  }
  StepThreads::sync();
}

template <typename T, int kHeadDim>
__device__ __forceinline__ void attend_split(const StepAttentionRun& run, const RowRange& row,
                                             const SplitPlace& place, bool is_started,
                                             std::byte* at, StepAttentionShared& shared) {
  using KvTile = Tile<T, kHeadDim, kSplitTile>;
  const AttentionView& view = shared.view;
  const HeadPages pages = place.pages(view, row);
  const KvTile tile(at);
  if (!is_started) tile.template load<kBlockThreads>(view, pages, place.start, thread_index());
  end_copy_group();
  if (place.tiles > 1 && thread_index() >= kBlockThreads - kTileThreads) {  // they finish no head
    tile.template prefetch<kTileThreads>(view, pages, place.start + kSplitTile, thread_index());
  }
  finish_heads<T, kHeadDim>(shared.heads_view, run.phase, run.words, place, shared);
  __threadfence_block();
  wait_for_copies<0>();
  StepThreads::sync();
  const int32_t newest = row.end - 1 - place.start;
  if (place.is_newest && newest < kSplitTile) {
    add_newest(tile, newest, shared);
    StepThreads::sync();
  }
  auto& sums = *reinterpret_cast<WarpSums<kHeadDim>*>(at);
  static_assert(sizeof(sums) <= KvTile::kBytes);
  attend_tiles(tile, place, pages, shared, sums);
  StepThreads::sync();
  leave(run, place.work, sums, row.splits == 1);
}

/// Slices of what the splits of a unit's heads leave: this unit's, and the threads that read them,
/// dealt out by powers of two, as divisions would take longer than adding.
struct MergeSlice {
  int splits;
  int log_splits;    ///< rounded up
  int first, count;  ///< pairs of elements of all heads

  __device__ __forceinline__ MergeSlice(const DecodeWork& work, int splits, int pairs)
      : splits(splits), log_splits(kLanes - __clz(splits - 1)) {
    const int all = work.heads * pairs;
    first = work.split * all / splits;
    count = (work.split + 1) * all / splits - first;
  }
};

/// What all splits have of the heads: largest scores and sums of powers. By the last threads, who
/// have the least of read_slice() to do: nobody waits twice.
template <int kHeadDim>
__device__ __forceinline__ void read_totals(const StepAttentionRun& run, const DecodeWork& work,
                                            const MergeSlice& slice, StepAttentionShared& shared) {
  static_assert(kBlockHeads * kSplitsMax <= kBlockThreads);
  const int thread = kBlockThreads - 1 - thread_index();
  const int h = thread >> slice.log_splits, split = thread & ((1 << slice.log_splits) - 1);
  if (h >= work.heads || split >= slice.splits) return;
  const std::byte* from = run.sums(work.first_head + h, split, kHeadDim);
  shared.totals[h][split] = await_pair(from + 16 * (kHeadDim / 2), run.number);
}

/// The slice of all splits, to `parts` [split][pair of the slice].
template <int kHeadDim>
__device__ __forceinline__ void read_slice(const StepAttentionRun& run, const DecodeWork& work,
                                           const MergeSlice& slice, float2* parts) {
  constexpr int kPairs = kHeadDim / 2;
  const int threads = kBlockThreads >> slice.log_splits;  // of a split
  const int split = (thread_index() << slice.log_splits) / kBlockThreads;
  if (split >= slice.splits) return;
  for (int i = thread_index() & (threads - 1); i < slice.count; i += threads) {
    const int pair = slice.first + i;
    const std::byte* from = run.sums(work.first_head + pair / kPairs, split, kHeadDim);
    parts[split * slice.count + i] = await_pair(from + 16 * (pair % kPairs), run.number);
  }
}

/// Adds up this split's slice of the elements of its heads, in the order of merge() of
/// attention_results.cuh. `at`: for the slice of all splits.
template <int kHeadDim>
__device__ __forceinline__ void merge_slice(const StepAttentionRun& run, const DecodeWork& work,
                                            int splits, std::byte* at,
                                            StepAttentionShared& shared) {
  auto* const parts = reinterpret_cast<float2*>(at);
  const MergeSlice slice(work, splits, kHeadDim / 2);
  read_totals<kHeadDim>(run, work, slice, shared);
  read_slice<kHeadDim>(run, work, slice, parts);
  StepThreads::sync();
  for (int i = thread_index(); i < 2 * slice.count; i += kBlockThreads) {
    const int element = 2 * slice.first + i, h = element / kHeadDim;
    const float largest = largest_of(shared.totals[h], splits);
    const float* sums = &parts[0].x + i;
    float total = 0.0f, sum = 0.0f;
    for (int s = 0; s < splits; ++s) {
      const float factor = power_of_two(shared.totals[h][s].x - largest);
      total = __fmaf_rn(factor, shared.totals[h][s].y, total);
      sum = __fmaf_rn(factor, sums[2 * slice.count * s], sum);
    }
    run.put(work.first_head * kHeadDim + element, __fdiv_rn(sum, total));
  }
}

/// All units of this block. All splits come before the first merge: blocks wait for each other's.
template <typename T, int kHeadDim>
__device__ __forceinline__ void attend_units(const StepAttentionRun& run, std::byte* tile,
                                             StepAttentionShared& shared) {
  const AttentionView& view = shared.view;
  const RowRange& row = shared.row;
  const int units = view.kv_heads * run.head_blocks * row.splits;
  const int first = static_cast<int>(blockIdx.x), step = static_cast<int>(gridDim.x);
  for (int unit = first; unit < units; unit += step) {
    const SplitPlace place =
        unit == first ? shared.first : SplitPlace(view, run.head_blocks, row, unit);
    attend_split<T, kHeadDim>(run, row, place, unit == first, tile, shared);
    StepThreads::sync();
  }
  if (row.splits == 1) return;
  for (int unit = first; unit < units; unit += step) {
    const SplitPlace place =
        unit == first ? shared.first : SplitPlace(view, run.head_blocks, row, unit);
    merge_slice<kHeadDim>(run, place.work, row.splits, tile, shared);
    StepThreads::sync();
  }
}

#endif

}  // namespace neuros::kernels::cuda
