/// Attention of single rows over long contexts, split along the keys
/// (https://crfm.stanford.edu/2023/10/12/flashdecoding.html). The visible positions of a row are
/// cut into splits whose length depends on their number alone, so that its bits do; a block takes
/// one KV head for up to eight of its query heads and leaves each split's sums relative to the
/// split's own largest score; a second kernel adds the splits in their order.
///
/// Products run on tensor cores at nearly float's precision: queries and softmax weights are
/// sums of two 16-bit numbers, and of the 16 rows that an instruction has, the eight heads take
/// rows 0 to 7 for the coarse part and 8 to 15 for the fine one.

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/launch.cuh"

#include <algorithm>
#include <bit>
#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

constexpr int kTilePositions = 64;  ///< 16 a warp
constexpr int kWarps = 4;
constexpr int kBlockHeads = 8;
constexpr int kSplitsMax = 64;

/// Positions of a split where `visible` of them are cut: the fewest tiles, doubled until kSplitsMax
/// splits suffice.
__host__ __device__ constexpr int32_t split_positions(int32_t visible) {
  int32_t positions = kTilePositions;
  while (int64_t{positions} * kSplitsMax < visible) positions *= 2;
  return positions;
}

struct DecodePlan {
  int32_t splits = 1;       ///< the most that a row has
  int32_t head_blocks = 1;  ///< of a KV head
  int32_t stages = 1;
  float* sums = nullptr;            ///< [sequences, heads, splits, head_dim]
  float2* largest_total = nullptr;  ///< [sequences, heads, splits]: score, sum of powers
};

/// What a sequence's only row sees, from a granule's start on, and its splits.
struct RowRange {
  int32_t first, begin, end;
  int32_t split;  ///< positions of one
  int32_t splits;

  __device__ RowRange(const AttentionView& view, int sequence) {
    const int32_t position = view.first_position[sequence];
    end = position + 1;
    first = first_visible(view, position);
    begin = first / kGranule * kGranule;
    split = split_positions(end - begin);
    splits = (end - begin + split - 1) / split;
  }
};

/// A warp's part of a block's work: eight heads over its 16 positions of each tile.
template <typename T, int kHeadDim>
struct DecodeWarp {
  static constexpr int kSteps = kHeadDim / 16;
  FragmentA q[kSteps];
  FragmentC out[2 * kSteps] = {};
  RunningSoftmax softmax;  ///< of head g

  /// `heads`: of the block that exist.
  __device__ DecodeWarp(const float* queries, int heads, float scale) {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    const float* row = queries + g * kHeadDim;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = 16 * step + 8 * half + 2 * t;
        const float x = g < heads ? row[at] * scale : 0.0f;
        const float y = g < heads ? row[at + 1] * scale : 0.0f;
        pack_in_two<T>(x, y, q[step].x[2 * half], q[step].x[2 * half + 1]);
      }
    }
  }

  /// 16 positions from `start` on, `column` of the tile; visible are [first, end).
  __device__ void add(const Tile<T, kHeadDim, kTilePositions>& tile, int column, int32_t start,
                      int32_t first, int32_t end, float soft_cap) {
    FragmentC products[2] = {};
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const FragmentsB b = load_transposed(tile.key_block(16 * step, column));
      multiply(products[0], q[step], b.x[0], b.x[1], T{});
      multiply(products[1], q[step], b.x[2], b.x[3], T{});
    }
    const int t = static_cast<int>(threadIdx.x) % 4;
    float scores[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const FragmentC& from = products[i / 2];
      const int32_t position = start + 8 * (i / 2) + 2 * t + i % 2;
      const float score = finish_score(from.x[i % 2] + from.x[2 + i % 2], soft_cap);
      scores[i] = position >= first && position < end ? score : kNoScore;
    }
    weigh(tile, column, scores);
  }

  __device__ void weigh(const Tile<T, kHeadDim, kTilePositions>& tile, int column,
                        float (&scores)[4]) {
    const float highest = fmaxf(fmaxf(scores[0], scores[1]), fmaxf(scores[2], scores[3]));
    const float factor = softmax.raise(quad_max(highest));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[i] = power_of_two(scores[i] - softmax.reference);
      softmax.sum += scores[i];
    }
    FragmentA weights;
    pack_in_two<T>(scores[0], scores[1], weights.x[0], weights.x[1]);
    pack_in_two<T>(scores[2], scores[3], weights.x[2], weights.x[3]);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const FragmentsB b = load_transposed(tile.value_block(column, 16 * step));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        FragmentC& sums = out[2 * step + half];
        for (float& sum : sums.x) sum *= factor;
        multiply(sums, weights, b.x[2 * half], b.x[2 * half + 1], T{});
      }
    }
  }
};

/// The block's warps, added in their order: sums [head][kHeadDim] and {largest, total}.
template <int kHeadDim>
struct WarpSums {
  float sums[kWarps][kBlockHeads][kHeadDim];
  float2 largest_total[kWarps][kBlockHeads];

  template <typename T>
  __device__ void put(const DecodeWarp<T, kHeadDim>& from) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      const FragmentC& c = from.out[n];
      sums[warp][g][8 * n + 2 * t] = c.x[0] + c.x[2];
      sums[warp][g][8 * n + 2 * t + 1] = c.x[1] + c.x[3];
    }
    const float total = quad_sum(from.softmax.sum);
    if (t == 0) largest_total[warp][g] = {from.softmax.largest, total};
  }

  struct Head {
    float factors[kWarps];
    float largest, total;
  };
  __device__ Head head(int h) const {
    Head out{{}, kNoScore, 0.0f};
    for (int w = 0; w < kWarps; ++w) out.largest = fmaxf(out.largest, largest_total[w][h].x);
    for (int w = 0; w < kWarps; ++w) {
      out.factors[w] = power_of_two(largest_total[w][h].x - out.largest);
      out.total += out.factors[w] * largest_total[w][h].y;
    }
    return out;
  }
  __device__ float sum(const Head& by, int h, int i) const {
    float total = 0.0f;
    for (int w = 0; w < kWarps; ++w) total += by.factors[w] * sums[w][h][i];
    return total;
  }
};

/// One split of one KV head, for some of its query heads.
struct DecodeWork {
  int sequence, split;
  int kv_head;
  int first_head, heads;  ///< of all query heads
};

/// Writes a split's sums, or the row itself where it has one split only.
template <int kHeadDim>
__device__ void leave(const AttentionView& view, const DecodePlan& plan, const DecodeWork& work,
                      const WarpSums<kHeadDim>& warps, bool only) {
  for (int h = 0; h < work.heads; ++h) {
    const auto by = warps.head(h);
    const int64_t head = work.first_head + h;
    const int64_t at = (int64_t{work.sequence} * view.heads + head) * plan.splits + work.split;
    float* to = plan.sums + at * kHeadDim;
    if (only) {
      to = view.out + (int64_t{view.first_row[work.sequence]} * view.heads + head) * kHeadDim;
    }
    for (int i = static_cast<int>(threadIdx.x); i < kHeadDim; i += kTileThreads) {
      const float sum = warps.sum(by, h, i);
      to[i] = only ? sum / by.total : sum;
    }
    if (!only && threadIdx.x == 0) plan.largest_total[at] = {by.largest, by.total};
  }
}

template <typename T, int kHeadDim>
__device__ void attend(const AttentionView& view, const DecodePlan& plan, const RowRange& row,
                       const DecodeWork& work, std::byte* shared) {
  using KvTile = Tile<T, kHeadDim, kTilePositions>;
  const int32_t start = row.begin + work.split * row.split;
  HeadPages pages = pages_of(view, work.sequence, work.kv_head);
  pages.first = row.first;
  pages.end = min(row.end, start + row.split);
  const int tiles = (pages.end - start + kTilePositions - 1) / kTilePositions;
  const auto tile = [&](int n) { return KvTile(shared + n % plan.stages * KvTile::kBytes); };
  TileStream stream{tiles, plan.stages,
                    [&](int n) { tile(n).load(view, pages, start + n * kTilePositions); }};
  stream.start();
  const int64_t head = int64_t{view.first_row[work.sequence]} * view.heads + work.first_head;
  DecodeWarp<T, kHeadDim> warp(view.q + head * kHeadDim, work.heads, query_scale(view));
  const int column = kGranule * (static_cast<int>(threadIdx.x) / 32);
  stream.finish([&](int n) {
    warp.add(tile(n), column, start + n * kTilePositions + column, pages.first, pages.end,
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
  if (thread < splits) parts[thread] = plan.largest_total[row * plan.splits + thread];
  __syncthreads();
  float largest = kNoScore;
  for (int s = 0; s < splits; ++s) largest = fmaxf(largest, parts[s].x);
  if (thread < splits) factors[thread] = power_of_two(parts[thread].x - largest);
  __syncthreads();
  float total = 0.0f;
  for (int s = 0; s < splits; ++s) total += factors[s] * parts[s].y;
  const float* sums = plan.sums + row * plan.splits * view.head_dim;
  float* out =
      view.out + (int64_t{view.first_row[sequence]} * view.heads + blockIdx.x) * view.head_dim;
  for (int i = thread; i < view.head_dim; i += kTileThreads) {
    float sum = 0.0f;
#pragma unroll 16
    for (int s = 0; s < splits; ++s) sum += factors[s] * sums[s * view.head_dim + i];
    out[i] = sum / total;
  }
}

/// The most that RowRange finds between begin and end: a function of the bucket.
int32_t visible_max(int32_t positions, int32_t window) {
  const int32_t bucket = bucketed_positions(positions);
  return window > 0 ? std::min(bucket, window + kGranule) : bucket;
}

int32_t splits_max(int32_t visible) {
  return std::min((visible + kTilePositions - 1) / kTilePositions, kSplitsMax);
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
  constexpr int kTileBytes = Tile<T, kHeadDim, kTilePositions>::kBytes;
  const DeviceTraits device = device_traits();
  if (device.compute_capability < 80 && !std::is_same_v<T, __half>) return false;
  if (kTileBytes > device.shared_bytes_max) return false;
  const AttentionView& view = run.view;
  const bool one_tile = split_positions(visible_max(run.longest, view.window)) == kTilePositions;
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
  constexpr int32_t kMost = 2 * kTilePositions * kSplitsMax;
  const auto rounded = std::bit_ceil(static_cast<uint32_t>(std::clamp(positions, 1, kMost)));
  return std::max(static_cast<int32_t>(rounded), kTilePositions);
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
