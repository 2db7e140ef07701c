/// Attention of prompts (https://arxiv.org/abs/2205.14135) on tensor cores. A block takes 64
/// queries of one KV head: neighbouring rows, all query heads of the group. It walks over tiles of
/// keys and values that start at multiples of the tile from position 0, so that a row's sums are
/// made in the same steps whatever part of the prompt the batch holds; a tile in which a row sees
/// nothing changes none of its bits.
///
/// Queries, times the scale, and softmax weights are rounded to the type of the keys.

#include "kernels/cuda/attention_queries.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/launch.cuh"

#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

constexpr int kWarpQueries = 16;
constexpr int kBlockQueries = kTileThreads / 32 * kWarpQueries;

/// 16 queries of a warp; the lane's rows are g and g + 8. Those past the end repeat the last.
template <typename T, int kHeadDim>
struct PromptWarp {
  // Larger heads leave registers for fewer scores.
  static constexpr int kPositions = kHeadDim > 128 ? 32 : 64;
  static constexpr int kSteps = kHeadDim / 16;
  using KvTile = Tile<T, kHeadDim, kPositions>;

  FragmentA q[kSteps];
  FragmentC out[2 * kSteps] = {};
  RunningSoftmax softmax[2];
  int32_t queries[2];
  int32_t positions[2];
  int32_t lowest, highest;  ///< positions of the warp's queries

  __device__ PromptWarp(const AttentionView& view, const QueryRange& range) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int32_t first = range.first + kWarpQueries * warp;
    lowest = range.position(min(first, range.last));
    highest = range.position(min(first + kWarpQueries - 1, range.last));
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      queries[i] = first + lane / 4 + 8 * i;
      positions[i] = range.position(min(queries[i], range.last));
      load_queries(view, range, i);
    }
  }

  __device__ void load_queries(const AttentionView& view, const QueryRange& range, int i) {
    const float* from =
        view.q + row_start<kHeadDim>(view, range, blockIdx.y, min(queries[i], range.last));
    const float scale = query_scale(view);
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* at = from + 16 * step + 8 * half + 2 * t;
        const uint32_t both = pack(at[0] * scale, at[1] * scale, T{});
        if (i == 0) q[step].x[2 * half] = both;
        if (i == 1) q[step].x[2 * half + 1] = both;
      }
    }
  }

  /// The tile of positions from `start` on.
  __device__ void add(const AttentionView& view, const KvTile& tile, int32_t start) {
    if (start > highest || start + kPositions <= first_visible(view, lowest)) return;
    FragmentC scores[kPositions / 8] = {};
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int n = 0; n < kPositions / 16; ++n) {
        const FragmentsB b = load_transposed(tile.key_block(16 * step, 16 * n));
        multiply(scores[2 * n], q[step], b.x[0], b.x[1], T{});
        multiply(scores[2 * n + 1], q[step], b.x[2], b.x[3], T{});
      }
    }
    if (view.soft_cap > 0.0f) {
#pragma unroll
      for (FragmentC& c : scores) {
#pragma unroll
        for (float& score : c.x) score = finish_score(score, view.soft_cap);
      }
    }
    if (start + kPositions - 1 > lowest || start < first_visible(view, highest)) {
      mask(view, scores, start);
    }
    weigh(tile, scores);
  }

  /// Removes what rows do not see.
  __device__ void mask(const AttentionView& view, FragmentC (&scores)[kPositions / 8],
                       int32_t start) const {
    const int32_t first[2] = {first_visible(view, positions[0]), first_visible(view, positions[1])};
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int n = 0; n < kPositions / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int32_t at = start + 8 * n + 2 * t + i % 2;
        if (at < first[i / 2] || at > positions[i / 2]) scores[n].x[i] = kNoScore;
      }
    }
  }

  __device__ void weigh(const KvTile& tile, FragmentC (&scores)[kPositions / 8]) {
    float factors[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float highest_score = kNoScore;
#pragma unroll
      for (const FragmentC& c : scores) {
        highest_score = fmaxf(highest_score, fmaxf(c.x[2 * i], c.x[2 * i + 1]));
      }
      factors[i] = softmax[i].raise(quad_max(highest_score));
#pragma unroll
      for (FragmentC& c : scores) {
#pragma unroll
        for (int j = 2 * i; j < 2 * i + 2; ++j) {
          c.x[j] = power_of_two(c.x[j] - softmax[i].reference);
          softmax[i].sum += c.x[j];
        }
      }
    }
    // Multiplying by 1 would change nothing.
    if (__any_sync(0xffffffffu, factors[0] != 1.0f || factors[1] != 1.0f)) {
#pragma unroll
      for (FragmentC& c : out) {
#pragma unroll
        for (int j = 0; j < 4; ++j) c.x[j] *= factors[j / 2];
      }
    }
    add_values(tile, scores);
  }

  __device__ void add_values(const KvTile& tile, const FragmentC (&weights)[kPositions / 8]) {
#pragma unroll
    for (int n = 0; n < kPositions / 16; ++n) {
      const FragmentC &low = weights[2 * n], &high = weights[2 * n + 1];
      const FragmentA a{{pack(low.x[0], low.x[1], T{}), pack(low.x[2], low.x[3], T{}),
                         pack(high.x[0], high.x[1], T{}), pack(high.x[2], high.x[3], T{})}};
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        const FragmentsB b = load_transposed(tile.value_block(16 * n, 16 * step));
        multiply(out[2 * step], a, b.x[0], b.x[1], T{});
        multiply(out[2 * step + 1], a, b.x[2], b.x[3], T{});
      }
    }
  }

  __device__ void store(const AttentionView& view, const QueryRange& range) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float inverse = 1.0f / quad_sum(softmax[i].sum);
      if (queries[i] > range.last) continue;
      float* to = view.out + row_start<kHeadDim>(view, range, blockIdx.y, queries[i]);
#pragma unroll
      for (int n = 0; n < 2 * kSteps; ++n) {
        to[8 * n + 2 * t] = out[n].x[2 * i] * inverse;
        to[8 * n + 2 * t + 1] = out[n].x[2 * i + 1] * inverse;
      }
    }
  }
};

struct PromptPlan {
  int32_t sequences = 0;
  int32_t stages = 1;
};

/// Block (64 queries of one of the sequences, KV head).
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kTileThreads, kHeadDim > 128 ? 2 : 3)
    prompt_kernel(AttentionView view, PromptPlan plan) {
  using Warp = PromptWarp<T, kHeadDim>;
  using KvTile = typename Warp::KvTile;
  extern __shared__ __align__(128) std::byte shared[];
  let_next_start();
  wait_for_previous();
  const BlockPlace place(view, plan.sequences, blockIdx.x, kBlockQueries);
  const QueryRange range = place.queries(view);
  HeadPages pages = pages_of(view, place.sequence, static_cast<int>(blockIdx.y));
  pages.first = first_visible(view, range.position(range.first));
  pages.end = range.position(range.last) + 1;
  const int32_t start = pages.first / Warp::kPositions * Warp::kPositions;
  const int tiles = (pages.end - start + Warp::kPositions - 1) / Warp::kPositions;
  const auto tile = [&](int n) { return KvTile(shared + n % plan.stages * KvTile::kBytes); };
  TileStream stream{tiles, plan.stages,
                    [&](int n) { tile(n).load(view, pages, start + n * Warp::kPositions); }};
  stream.start();
  Warp warp(view, range);
  stream.finish([&](int n) { warp.add(view, tile(n), start + n * Warp::kPositions); });
  warp.store(view, range);
}

template <typename T, int kHeadDim>
bool launch_prompt(const OpContext& context, const AttentionRun& run) {
  constexpr int kTileBytes = PromptWarp<T, kHeadDim>::KvTile::kBytes;
  const DeviceTraits device = device_traits();
  if (device.compute_capability < 80 && !std::is_same_v<T, __half>) return false;
  if (kTileBytes > device.shared_bytes_max) return false;
  const PromptPlan plan{.sequences = static_cast<int32_t>(run.slices.size()),
                        .stages = 2 * kTileBytes > device.shared_bytes_max ? 1 : 2};
  allow_shared(prompt_kernel<T, kHeadDim>, plan.stages * kTileBytes);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(query_blocks(run, kBlockQueries)),
                       static_cast<unsigned>(run.view.kv_heads)),
          .block = dim3(kTileThreads),
          .shared_bytes = static_cast<size_t>(plan.stages * kTileBytes)},
         prompt_kernel<T, kHeadDim>, run.view, plan);
  return true;
}

template <typename T>
bool launch_prompt(const OpContext& context, const AttentionRun& run) {
  switch (run.view.head_dim) {
    case 64:
      return launch_prompt<T, 64>(context, run);
    case 80:
      return launch_prompt<T, 80>(context, run);
    case 96:
      return launch_prompt<T, 96>(context, run);
    case 128:
      return launch_prompt<T, 128>(context, run);
    case 192:
      return launch_prompt<T, 192>(context, run);
    case 256:
      return launch_prompt<T, 256>(context, run);
    default:
      return false;
  }
}

}  // namespace

bool attention_prompt(const OpContext& context, const AttentionRun& run) {
  if (attention_prompt_wgmma(context, run)) return true;
  if (run.dtype == base::DType::kF16) return launch_prompt<__half>(context, run);
  if (run.dtype == base::DType::kBF16) return launch_prompt<__nv_bfloat16>(context, run);
  return false;
}

}  // namespace neuros::kernels::cuda
