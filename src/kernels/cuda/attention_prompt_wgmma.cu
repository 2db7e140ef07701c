/// Attention of prompts on Hopper, for heads of 64 and 128: as attention_prompt.cu, but two
/// warpgroups of 64 queries each multiply by wgmma, queries and softmax weights from registers,
/// keys and values from shared memory, and a third one copies those there. Pages hold keys
/// [head_dim, positions] and values [positions, head_dim]: both are "transposed" operands, whose
/// rows are what is summed over.
///
/// A warpgroup starts the scores of a tile together with the product of the weights and values of
/// the tile before, and makes the softmax while the tensor cores do the latter. The two take turns
/// in starting products, so that one's softmax runs beside the other's products.
///
/// Bounds, for 128 queries x 64 positions of 128: 2.1 M FMA at 2048 a cycle: 1024 cycles. Powers:
/// 8192 at 16 a cycle: 512 cycles. Instructions: about 6 a score at 128 a cycle: 380. L2: 32 KiB at
/// about 30 B a cycle: 1092 cycles. A block has a multiprocessor alone; the longest start first.

#include "kernels/cuda/attention_queries.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lazy_softmax.cuh"
#include "kernels/cuda/prepared_halves.cuh"
#include "kernels/cuda/ring_place.cuh"
#include "kernels/cuda/turns.cuh"

#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

constexpr int kGroupThreads = 128;
constexpr int kGroupQueries = 64;
constexpr int kGroups = 2;
constexpr int kMultipliers = kGroups * kGroupThreads;
constexpr int kCopiers = kGroupThreads;
constexpr int kThreads = kMultipliers + kCopiers;
constexpr int kBlockQueries = kGroups * kGroupQueries;
constexpr int kPositions = 64;
constexpr int kStages = 6;
constexpr int kAlignment = 1024;  // of the swizzle

/// Shared memory of a tile, in rows of 128 bytes in the 128-byte swizzle: keys [kHeadDim, 64
/// positions], then values, 64 dimensions after the other: [64 positions, 64 dimensions].
template <int kHeadDim>
struct TileBytes {
  static constexpr int kRow = 128;
  static constexpr int kKeys = kHeadDim * kRow;
  static constexpr int kValueBlock = kPositions * kRow;
  static constexpr int kAll = kKeys + kHeadDim / 64 * kValueBlock;
  static constexpr int kBarriers = kStages * kAll;
  static constexpr int kShared = kBarriers + 16 * kStages + kAlignment;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The registers of 384 threads x 168, dealt again: 256 x 216 + 128 x 72.
constexpr int kMultiplyRegisters = 216;
constexpr int kCopyRegisters = 72;

template <int kHeadDim>
using TilePlace =
    hopper::RingPlace<kStages, TileBytes<kHeadDim>::kAll, 0, TileBytes<kHeadDim>::kBarriers>;

template <typename T, int kHeadDim>
struct WgmmaTile {
  using Bytes = TileBytes<kHeadDim>;
  static_assert(sizeof(T) == 2 && kHeadDim % 64 == 0);

  std::byte* at;

  /// Starts the copies of positions [start, start + 64), by all copiers.
  __device__ __forceinline__ void load(const AttentionView& view, const HeadPages& from,
                                       int32_t start) const {
    load_keys(view, from, start);
    load_values(view, from, start);
  }

  /// Of 16 dimensions, all positions.
  __device__ __forceinline__ uint64_t keys(int step) const {
    return hopper::swizzled_operand(hopper::shared_address(at) + step * (16 * Bytes::kRow));
  }
  /// Of 16 positions, all dimensions.
  __device__ __forceinline__ uint64_t values(int step) const {
    return hopper::swizzled_operand(
        hopper::shared_address(at) + Bytes::kKeys + step * (16 * Bytes::kRow), Bytes::kValueBlock);
  }

 private:
  using Pages = Tile<T, kHeadDim, kPositions>;

  __device__ __forceinline__ static int thread() {
    return static_cast<int>(threadIdx.x) % kCopiers;
  }
  __device__ __forceinline__ static int place(int row, int piece) {
    return row * Bytes::kRow + ((piece ^ (row % 8)) * 16);
  }

  /// A thread has 8 positions of every 16th dimension.
  __device__ __forceinline__ void load_keys(const AttentionView& view, const HeadPages& from,
                                            int32_t start) const {
    constexpr int kRows = kCopiers / 8;
    const int piece = thread() % 8, row = thread() / 8;
    const int32_t position = start + 8 * piece;
    const bool exists = position < from.end && position + 8 > from.first;
    const std::byte* key = from.keys;
    if (exists) key = Pages::place_of(view, from, position, view.page_tokens, row, 1);
    const int64_t step = exists ? int64_t{2} * kRows * view.page_tokens : 0;
    std::byte* to = at + place(row, piece);
#pragma unroll
    for (int round = 0; round < kHeadDim / kRows; ++round) {
      copy_16(to + round * (kRows * Bytes::kRow), key, exists);
      key += step;
    }
  }

  /// A thread has 8 dimensions of some positions of every granule.
  __device__ __forceinline__ void load_values(const AttentionView& view, const HeadPages& from,
                                              int32_t start) const {
    constexpr int kPieces = kHeadDim / 8, kRows = kCopiers / kPieces;
    const int piece = thread() % kPieces, first = thread() / kPieces;
    std::byte* values = at + Bytes::kKeys + piece / 8 * Bytes::kValueBlock;
#pragma unroll
    for (int granule = 0; granule < kPositions; granule += kGranule) {
      const std::byte* value = from.keys;
      if (start + granule < from.end && start + granule + kGranule > from.first) {
        value = Pages::place_of(view, from, start + granule, 1, 0, kHeadDim) + view.values_bytes;
      }
#pragma unroll
      for (int round = 0; round < kGranule / kRows; ++round) {
        const int i = first + round * kRows, row = granule + i;
        const bool exists = start + row < from.end && start + row >= from.first;
        copy_16(values + place(row, piece % 8), value + 2 * i * kHeadDim + 16 * piece, exists);
      }
    }
  }
};

/// 64 queries of a warpgroup; the lane's rows are g and g + 8 of its warp's 16. Those past the end
/// repeat the last.
template <typename T, int kHeadDim>
struct QueryGroup {
  static constexpr bool kIsBf16 = std::is_same_v<T, __nv_bfloat16>;
  static constexpr int kSteps = kHeadDim / 16;
  static constexpr int kScores = kPositions / 2;  ///< of a lane
  using KvTile = WgmmaTile<T, kHeadDim>;

  FragmentA q[kSteps];
  float scores[kScores];
  FragmentA weights[kPositions / 16];
  float out[kHeadDim / 2] = {};
  LazySoftmax softmax[2];
  int32_t queries[2];
  int32_t positions[2];
  int32_t lowest, highest;  ///< positions of the warpgroup's queries

  __device__ __forceinline__ QueryGroup(const AttentionView& view, const QueryRange& range) {
    const int thread = static_cast<int>(threadIdx.x);
    const int32_t first = range.first + thread / kGroupThreads * kGroupQueries;
    lowest = range.position(min(first, range.last));
    highest = range.position(min(first + kGroupQueries - 1, range.last));
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      queries[i] = first + thread % kGroupThreads / 32 * 16 + thread % 32 / 4 + 8 * i;
      positions[i] = range.position(min(queries[i], range.last));
      load_queries(view, range, i);
    }
  }

  __device__ __forceinline__ void load_queries(const AttentionView& view, const QueryRange& range,
                                               int i) {
    const int32_t query = min(queries[i], range.last);
    const float* from = view.q + row_start<kHeadDim>(view, range, blockIdx.x, query);
    const float scale = query_scale(view);
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float2 x =
            __ldcg(reinterpret_cast<const float2*>(from + 16 * step + 8 * half + 2 * t));
        q[step].x[2 * half + i] = pack(x.x * scale, x.y * scale, T{});
      }
    }
  }

  /// Starts scores = q keys.
  __device__ __forceinline__ void start_scores(const KvTile& tile) {
    using hopper::Sums;
    hopper::settle(scores);
    hopper::fence_registers();
    hopper::multiply_async<kPositions, kIsBf16, true, Sums::kZero>(scores, q[0].x, tile.keys(0));
#pragma unroll
    for (int step = 1; step < kSteps; ++step) {
      hopper::multiply_async<kPositions, kIsBf16, true>(scores, q[step].x, tile.keys(step));
    }
    hopper::commit_products();
  }

  /// Starts out += weights values.
  __device__ __forceinline__ void start_values(const KvTile& tile) {
    hopper::settle(out);
    hopper::fence_registers();
#pragma unroll
    for (int step = 0; step < kPositions / 16; ++step) {
      hopper::multiply_async<kHeadDim, kIsBf16, true>(out, weights[step].x, tile.values(step));
    }
    hopper::commit_products();
  }

  /// From the scores of positions from `start` on to weights in their place, and what former sums
  /// shrink by.
  __device__ __forceinline__ void weigh(const AttentionView& view, int32_t start,
                                        float (&factors)[2]) {
    hopper::settle(scores);
    if (view.soft_cap > 0.0f) {
#pragma unroll
      for (int n = 0; n < kScores; ++n) scores[n] = finish_score(scores[n], view.soft_cap);
    }
    if (start + kPositions - 1 > lowest || start < first_visible(view, highest)) mask(view, start);
#pragma unroll
    for (int i = 0; i < 2; ++i) factors[i] = softmax[i].raise(largest(i));
    // Rows that have not seen a score yet have none here either.
    const float references[2] = {softmax[0].base(), softmax[1].base()};
    float sums[2][2] = {};
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
      const int i = n % 4 / 2;
      scores[n] = power_of_two(scores[n] - references[i]);
      sums[i][n % 2] += scores[n];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) softmax[i].sum += sums[i][0] + sums[i][1];
    hopper::settle(scores);  // before the wait for other products
  }

  /// Of the scores of a row.
  __device__ __forceinline__ float largest(int i) const {
    float even = kNoScore, odd = kNoScore;
#pragma unroll
    for (int n = 2 * i; n < kScores; n += 4) {
      even = fmaxf(even, scores[n]);
      odd = fmaxf(odd, scores[n + 1]);
    }
    return quad_max(fmaxf(even, odd));
  }

  /// Rounds what weigh() left; the products before must be done, as they may read `weights`.
  __device__ __forceinline__ void round() {
    hopper::settle(scores);
#pragma unroll
    for (int n = 0; n < kScores / 2; ++n) {
      weights[n / 4].x[n % 4] = pack(scores[2 * n], scores[2 * n + 1], T{});
    }
  }

  /// Removes what rows do not see.
  __device__ __forceinline__ void mask(const AttentionView& view, int32_t start) {
    const int32_t first[2] = {first_visible(view, positions[0]), first_visible(view, positions[1])};
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
      const int32_t at = start + n / 4 * 8 + 2 * t + n % 2;
      const int i = n % 4 / 2;
      if (at < first[i] || at > positions[i]) scores[n] = kNoScore;
    }
  }

  __device__ __forceinline__ void rescale(const float (&factors)[2]) {
    // Multiplying by 1 would change nothing.
    if (!__any_sync(0xffffffffu, factors[0] != 1.0f || factors[1] != 1.0f)) return;
#pragma unroll
    for (int n = 0; n < kHeadDim / 2; ++n) out[n] *= factors[n % 4 / 2];
  }

  __device__ __forceinline__ void store(const AttentionView& view, const QueryRange& range) const {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float inverse = 1.0f / quad_sum(softmax[i].sum);
      if (view.prepared != nullptr) {
        store_prepared(view, range, i, inverse);
        continue;
      }
      if (queries[i] > range.last) continue;
      float* to = view.out + row_start<kHeadDim>(view, range, blockIdx.x, queries[i]);
#pragma unroll
      for (int n = 0; n < kHeadDim / 8; ++n) {
        *reinterpret_cast<float2*>(to + 8 * n + 2 * t) = {out[4 * n + 2 * i] * inverse,
                                                          out[4 * n + 2 * i + 1] * inverse};
      }
    }
  }

  /// A lane has columns 8n + 2t, 8n + 2t + 1. In the operand's order of 16 columns (n = 2s, 2s + 1)
  /// they are words t / 2 and 2 + t / 2 of piece 2s + t % 2: lanes t and t ^ 2 swap one, and each
  /// then has 8 bytes.
  __device__ __forceinline__ void store_prepared(const AttentionView& view, const QueryRange& range,
                                                 int i, float inverse) const {
    constexpr int kBlockRowBytes = prefill::kBlockRowBytes;
    constexpr int kBlockColumns = prefill::kBlockColumns;
    const int t = static_cast<int>(threadIdx.x) % 4;
    const int32_t query = min(queries[i], range.last);
    const int64_t start = row_start<kHeadDim>(view, range, blockIdx.x, query);
    const int64_t width = static_cast<int64_t>(view.heads) * kHeadDim;
    const int64_t token = start / width - view.first_prompt_row;
    const int64_t block = start % width / kBlockColumns;
    std::byte* const to =
        view.prepared + (block * view.padded_tokens + token) * kBlockRowBytes + t / 2 * 8;
#pragma unroll
    for (int step = 0; step < kHeadDim / 16; ++step) {
      const float* x = out + 8 * step + 2 * i;
      const uint32_t low = prefill::round_pair<true>(x[0] * inverse, x[1] * inverse);
      const uint32_t high = prefill::round_pair<true>(x[4] * inverse, x[5] * inverse);
      const uint32_t other = __shfl_xor_sync(0xffffffffu, t < 2 ? high : low, 2);
      const int piece = 16 * step % kBlockColumns / 16 * 2 + t % 2;
      const int64_t at = 16 * step / kBlockColumns * (view.padded_tokens * kBlockRowBytes) +
                         (piece ^ static_cast<int>(token % 8)) * 16;
      if (queries[i] > range.last) continue;
      *reinterpret_cast<uint2*>(to + at) = t < 2 ? uint2{low, other} : uint2{other, high};
    }
  }
};

/// The tiles of a block, which pass through a ring in shared memory.
template <typename T, int kHeadDim>
struct BlockTiles {
  using Place = TilePlace<kHeadDim>;

  const AttentionView& view;
  HeadPages pages;
  int32_t start;  ///< of the first tile
  std::byte* memory;

  __device__ __forceinline__ Place first_place() const {
    return Place(hopper::shared_address(memory));
  }
  __device__ __forceinline__ WgmmaTile<T, kHeadDim> tile(const Place& place) const {
    return {memory + (place.address() - hopper::shared_address(memory))};
  }
};

/// Fills the ring. A tile is given away when the copies of kBehind more have been started.
template <typename T, int kHeadDim>
__device__ __forceinline__ void copy_tiles(const BlockTiles<T, kHeadDim>& tiles) {
  constexpr int kBehind = 2;
  auto place = tiles.first_place(), copied = place;
  const auto give = [&] {
    hopper::publish_shared();
    hopper::release(copied.full());
    copied.advance();
  };
  int started = 0;
#pragma unroll 1
  for (int32_t start = tiles.start; start < tiles.pages.end; start += kPositions) {
    place.wait_empty();
    tiles.tile(place).load(tiles.view, tiles.pages, start);
    end_copy_group();
    place.advance();
    if (++started <= kBehind) continue;
    wait_for_copies<kBehind>();
    give();
  }
  wait_for_copies<0>();
  for (int n = min(started, kBehind); n > 0; --n) give();
}

template <typename T, int kHeadDim>
__device__ __forceinline__ void attend(const QueryRange& range,
                                       const BlockTiles<T, kHeadDim>& tiles) {
  const AttentionView& view = tiles.view;
  QueryGroup<T, kHeadDim> group(view, range);
  const hopper::Turns<kGroups> turns(static_cast<int>(threadIdx.x) / kGroupThreads);
  auto place = tiles.first_place();
  float factors[2];
  place.wait_full();
  turns.take();
  group.start_scores(tiles.tile(place));
  turns.give();
  hopper::wait_for_products<0>();
  group.weigh(view, tiles.start, factors);
  group.round();
#pragma unroll 1
  for (int32_t start = tiles.start + kPositions; start < tiles.pages.end; start += kPositions) {
    auto next = place;
    next.advance();
    next.wait_full();
    turns.take();
    group.start_scores(tiles.tile(next));
    group.start_values(tiles.tile(place));
    turns.give();
    hopper::wait_for_products<1>();
    group.weigh(view, start, factors);
    hopper::wait_for_products<0>();
    hopper::settle(group.out);
    hopper::release(place.empty());
    group.rescale(factors);
    group.round();
    place = next;
  }
  group.start_values(tiles.tile(place));
  hopper::wait_for_products<0>();
  hopper::settle(group.out);
  group.store(view, range);
}

#endif

/// Block (KV head, 128 queries of one of the sequences).
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kThreads, 1)
    prompt_wgmma_kernel(const __grid_constant__ AttentionView view, int32_t sequences) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte memory[];
  const uint32_t unaligned = hopper::shared_address(memory) % kAlignment;
  std::byte* aligned = memory + (kAlignment - unaligned) % kAlignment;
  let_next_start();
  if (threadIdx.x == 0) {
    TilePlace<kHeadDim>::init(hopper::shared_address(aligned), kMultipliers / 32, kCopiers / 32);
    hopper::publish_barriers();
  }
  __syncthreads();
  wait_for_previous();
  const BlockPlace place(view, sequences, blockIdx.y, kBlockQueries);
  const QueryRange range = place.queries(view);
  HeadPages pages = pages_of(view, place.sequence, static_cast<int>(blockIdx.x));
  pages.first = first_visible(view, range.position(range.first));
  pages.end = range.position(range.last) + 1;
  const BlockTiles<T, kHeadDim> tiles{.view = view,
                                      .pages = pages,
                                      .start = pages.first / kPositions * kPositions,
                                      .memory = aligned};
  if (threadIdx.x < kMultipliers) {
    hopper::take_registers<kMultiplyRegisters>();
    attend(range, tiles);
  } else {
    hopper::give_registers_back<kCopyRegisters>();
    copy_tiles(tiles);
  }
#endif
}

template <typename T, int kHeadDim>
bool launch_prompt(const OpContext& context, const AttentionRun& run) {
  constexpr int kBytes = TileBytes<kHeadDim>::kShared;
  allow_shared(prompt_wgmma_kernel<T, kHeadDim>, kBytes);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(run.view.kv_heads),
                       static_cast<unsigned>(query_blocks(run, kBlockQueries))),
          .block = dim3(kThreads),
          .shared_bytes = kBytes},
         prompt_wgmma_kernel<T, kHeadDim>, run.view, static_cast<int32_t>(run.slices.size()));
  return true;
}

template <typename T>
bool launch_prompt(const OpContext& context, const AttentionRun& run) {
  if (run.view.head_dim == 64) return launch_prompt<T, 64>(context, run);
  if (run.view.head_dim == 128) return launch_prompt<T, 128>(context, run);
  return false;
}

bool in_pairs(const float* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % sizeof(float2) == 0;
}

/// Of a grid's second dimension.
constexpr int32_t kBlocksMax = 65535;

}  // namespace

bool has_attention_prompt_wgmma(const AttentionRun& run) {
  const int32_t head_dim = run.view.head_dim;
  const bool is_half = run.dtype == base::DType::kF16 || run.dtype == base::DType::kBF16;
  return device_traits().wgmma && is_half && (head_dim == 64 || head_dim == 128) &&
         query_blocks(run, kBlockQueries) <= kBlocksMax && in_pairs(run.view.q) &&
         in_pairs(run.view.out);
}

bool attention_prompt_wgmma(const OpContext& context, const AttentionRun& run) {
  if (!has_attention_prompt_wgmma(run)) return false;
  if (run.dtype == base::DType::kF16) return launch_prompt<__half>(context, run);
  if (run.dtype == base::DType::kBF16) return launch_prompt<__nv_bfloat16>(context, run);
  return false;
}

}  // namespace neuros::kernels::cuda
