#pragma once

/// The decode kernel. A block of 16 or 8 warps takes panels of 16 rows, one after another; each
/// warp has one or two groups of the columns (column_groups()), reads them once through its ring,
/// and keeps sums of 16 rows and up to 32 tokens in registers. At the end of a panel the groups'
/// sums meet in shared memory and are added (sum_of_groups()). Meanwhile the rings fill with the
/// next panel's chunks.
///
/// Grids are no larger than what fits on the chip at once, so that a following kernel may start its
/// own first copies while this one still runs.
///
/// Budget. An H200 that reads 4.3 TB/s gives each of its 132 multiprocessors some 17 bytes a clock,
/// and a multiprocessor issues 4 instructions a clock: 4.3 bytes have to pay for each. What a warp
/// spends on one tile of tokens, counted in PTX without moves, ring included, and bytes for each:
///   bf16    64 columns   2048 bytes   170 instructions   12.0   bound by memory
///   q8_0   128           2176         220                 9.9
///   q4_0   128           1152         240                 4.8
///   q4_k   256           2368         450                 5.3
///   q6_k   256           3360         690                 4.9
///   tq2_0  256           1056         360                 2.9   bound by instructions
///   q2_k   256           1344         700                 1.9
/// A further tile costs about 100 instructions (two pieces: 170) for 128 columns, and 1 to 1.5 KB
/// of activations from the first- or second-level cache, as much as the weights of a 4-bit type.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/decode_many.cuh"
#include "kernels/cuda/decode_shape.h"
#include "kernels/cuda/decode_task.cuh"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/half_preparation.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/own_preparation.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/weight_ring.cuh"

#include <algorithm>
#include <type_traits>

namespace neuros::kernels::cuda {

/// A panel of a task for a group of tokens.
struct DecodeUnit {
  int task = -1;  ///< -1: there are no more
  int panel = 0;
  int group = 0;
};

/// The index-th unit of this block.
__device__ __forceinline__ DecodeUnit unit_at(const DecodeParameters& p, int index) {
  const int pass = p.passes == 2 ? index % 2 : 0;
  const int place = static_cast<int>(blockIdx.x) +
                    (p.passes == 2 ? index / 2 : index) * static_cast<int>(gridDim.x);
  if (place >= p.panels * p.groups) return {};
  const TaskPanel panel = task_panel(p, pass, place / p.groups);
  return {.task = panel.task, .panel = panel.panel, .group = place % p.groups};
}

/// The chunks of a warp's share, panel after panel: what its ring is filled from.
template <typename Chunk>
class ChunkWalk {
 public:
  __device__ ChunkWalk(const DecodeParameters& p, int first, int last)
      : p_(p), first_(first), last_(last), chunk_(first) {
    if (first < last) enter_panel();
  }

  __device__ const std::byte* chunk(int& bytes) const {
    if (panel_ == nullptr) return nullptr;
    const int64_t offset = static_cast<int64_t>(chunk_) * Chunk::kBytes;
    const std::byte* chunk = panel_ + offset;
    if constexpr (Chunk::kKind != ActivationKind::kQ8) {  // the last one may be short
      bytes = static_cast<int>(min(static_cast<int64_t>(bytes), p_.panel_bytes - offset));
    }
    return chunk;
  }
  __device__ void advance() {
    if (panel_ == nullptr || ++chunk_ < last_) return;
    chunk_ = first_;
    ++index_;
    enter_panel();
  }

 private:
  __device__ void enter_panel() {
    const DecodeUnit unit = unit_at(p_, index_);
    panel_ = unit.task < 0 ? nullptr : p_.tasks[unit.task].weight + unit.panel * p_.panel_bytes;
  }

  const DecodeParameters& p_;
  int first_, last_, chunk_;
  int index_ = 0;
  const std::byte* panel_ = nullptr;
};

/// Adds the groups' sums of a panel.
template <ActivationKind kKind, int kTiles, int kThreads>
class PanelSums {
 public:
  __device__ PanelSums(float* shared, const DecodeParameters& p, const float* token_scales)
      : shared_(shared), p_(p), token_scales_(token_scales) {}

  /// A warp's sums of a group.
  template <int kPartials>
  __device__ __forceinline__ void put(int group, const float (&acc)[kTiles][kPartials][4]) {
    float* own = shared_ + group * kFloats + threadIdx.x % kLanes;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) own[(tile * 4 + i) * kLanes] = sum_of_partials(acc[tile], i);
    }
  }

  __device__ __forceinline__ void finish_panel(const DecodeUnit& unit) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kResults; ++i) finish_result(unit, i);
    __syncthreads();  // before the next panel's sums
  }

 private:
  static constexpr int kFloats = kTiles * 4 * kLanes;                   ///< of a group
  static constexpr int kResults = (kFloats + kThreads - 1) / kThreads;  ///< of a thread

  __device__ void finish_result(const DecodeUnit& unit, int i) {
    const int result = i * kThreads + static_cast<int>(threadIdx.x);
    const int in_panel = result % kPanelRows, in_group = result / kPanelRows;
    const DecodeTask& task = p_.tasks[unit.task];
    const int row = unit.panel * kPanelRows + in_panel;
    const int token = unit.group * kTiles * kTileTokens + in_group;
    if (result >= kFloats || token >= p_.tokens || row >= task.rows) return;
    const int lane = in_panel % 8 * 4 + in_group % kTileTokens / 2;
    const int place = in_group / kTileTokens * 4 + in_panel / 8 * 2 + in_group % 2;
    const float* sums = shared_ + place * kLanes + lane;
    float sum = sum_of_groups(sums, kFloats, p_.column_groups);
    if (kKind == ActivationKind::kF16) sum = __fmul_rn(sum, token_scales_[token]);
    if (p_.passes == 2 && unit.task == 0) {
      gates_[i] = sum;
    } else {
      finish(p_, task, row, token, sum, gates_[i]);
    }
  }

  float* shared_;
  const DecodeParameters& p_;
  const float* token_scales_;
  float gates_[kResults]{};
};

/// Where a group's activations start.
template <typename Chunk, int kTiles>
__device__ __forceinline__ GroupActivations group_activations(const DecodeParameters& p,
                                                              PreparedActivations x, int group) {
  constexpr int kTokens = kTiles * kTileTokens;
  if constexpr (Chunk::kKind == ActivationKind::kQ8) {
    const int64_t chunks = static_cast<int64_t>(group) * kTiles * (p.columns / kChunkColumns);
    x.values += chunks * x.chunk_bytes();
    x.scales += chunks * x.chunk_floats();
  } else {
    x.values += static_cast<int64_t>(group) * kTokens * p.columns * 2;
  }
  return {x, min(p.tokens - group * kTokens, kTokens), p.columns};
}

/// What a block prepares of a launch's tokens.
template <typename Chunk, bool kPrepares>
__host__ __device__ __forceinline__ OwnActivations own_activations(const DecodeParameters& p) {
  return kPrepares ? own_activations(Chunk::kKind, p.tokens, p.columns) : OwnActivations{};
}

/// One tile of tokens, prepared by the block itself, or four, prepared by another kernel where
/// there is no decode_many_kernel.
template <typename Chunk, int kTiles, bool kPrepares, Blocks kBlocks>
__global__ void __launch_bounds__(shape_of(kBlocks).warps* kLanes, shape_of(kBlocks).resident)
    decode_kernel(const __grid_constant__ DecodeParameters p) {
  constexpr int kWarps = shape_of(kBlocks).warps;
  extern __shared__ uint4 dynamic_shared[];
  auto* const shared = reinterpret_cast<std::byte*>(dynamic_shared);
#if __CUDA_ARCH__ >= 800
  constexpr bool kAsynchronous = true;
#else
  constexpr bool kAsynchronous = false;
#endif
  const DecodeShared place = decode_shared(kBlocks, kTiles, Chunk::kBytes, kAsynchronous,
                                           own_activations<Chunk, kPrepares>(p));
  const int warp = threadIdx.x / kLanes;
  const int of_warp = (p.column_groups + kWarps - 1) / kWarps;
  const int first_group = min(warp * of_warp, p.column_groups);
  const int end_group = min(first_group + of_warp, p.column_groups);
  const auto first_chunk = [&](int group) { return group * p.chunks / p.column_groups; };
  constexpr int kSlots = ring_slots(kBlocks, Chunk::kBytes, kAsynchronous);
  WeightRing<Chunk::kBytes, ChunkWalk<Chunk>, kSlots> ring(
      shared + warp * place.ring_bytes,
      ChunkWalk<Chunk>(p, first_chunk(first_group), first_chunk(end_group)));
  let_next_start();
  ring.fill();
  PreparedActivations x = p.prepared;
  if constexpr (kPrepares) {
    using Preparation = std::conditional_t<kWarps == kBlockWarps, OwnPreparation<Chunk::kKind>,
                                           HalfPreparation<Chunk::kKind>>;
    const Preparation preparation(p.source);
    wait_for_previous();
    x = {shared + place.values, reinterpret_cast<float*>(shared + place.scales), p.tokens,
         (p.tokens + 1) / 2};
    preparation.run(x, p.tokens, p.columns);
  } else {
    wait_for_previous();
  }
  PanelSums<Chunk::kKind, kTiles, kWarps * kLanes> sums(
      reinterpret_cast<float*>(shared + place.sums), p, x.scales);
  for (int index = 0;; ++index) {
    const DecodeUnit unit = unit_at(p, index);
    if (unit.task < 0) break;
    const GroupActivations activations = group_activations<Chunk, kTiles>(p, x, unit.group);
    for (int group = first_group; group < end_group; ++group) {
      float acc[kTiles][Chunk::kPartials][4] = {};
      for (int chunk = first_chunk(group); chunk < first_chunk(group + 1); ++chunk) {
        Chunk::template multiply<kTiles>(ring.take(), chunk, activations, acc);
      }
      sums.put(group, acc);
    }
    sums.finish_panel(unit);
  }
}

/// Shared memory of a launch's blocks.
template <typename Chunk, int kTiles, bool kPrepares>
DecodeShared shared_of(const DecodeParameters& p, Blocks blocks) {
  return decode_shared(blocks, kTiles, Chunk::kBytes, device_traits().compute_capability >= 80,
                       own_activations<Chunk, kPrepares>(p));
}

template <typename Chunk, int kTiles, bool kPrepares, Blocks kBlocks>
void launch_shape(const OpContext& context, DecodeParameters p) {
  static Residency residency;
  constexpr auto kKernel = decode_kernel<Chunk, kTiles, kPrepares, kBlocks>;
  constexpr int kThreads = shape_of(kBlocks).warps * kLanes;
  p.groups = (p.tokens + kTiles * kTileTokens - 1) / (kTiles * kTileTokens);
  p.chunks = static_cast<int>((p.panel_bytes + Chunk::kBytes - 1) / Chunk::kBytes);
  p.column_groups = column_groups(p.columns);
  const int shared = shared_of<Chunk, kTiles, kPrepares>(p, kBlocks).end;
  const int resident = residency.blocks(reinterpret_cast<const void*>(kKernel), kThreads, shared);
  const int blocks = std::min(resident, p.panels * p.groups);
  launch(context,
         {dim3(static_cast<unsigned>(blocks)), dim3(kThreads), static_cast<size_t>(shared)},
         kKernel, p);
}

template <typename Chunk, int kTiles, bool kPrepares, Blocks kBest>
void launch_kernel(const OpContext& context, const DecodeParameters& p) {
  if (shared_of<Chunk, kTiles, kPrepares>(p, kBest).fits(device_traits().shared_bytes_max)) {
    return launch_shape<Chunk, kTiles, kPrepares, kBest>(context, p);
  }
  launch_shape<Chunk, kTiles, kPrepares, Blocks::kLean>(context, p);
}

/// Blocks that prepare for themselves.
template <typename Chunk>
void launch_own(const OpContext& context, const DecodeParameters& p) {
  if (p.columns > kNarrowColumns) {
    return launch_kernel<Chunk, 1, true, own_blocks(Chunk::kKind, kOwnColumnsMax)>(context, p);
  }
  launch_kernel<Chunk, 1, true, own_blocks(Chunk::kKind, kNarrowColumns)>(context, p);
}

template <base::DType kType>
void launch_decode(const OpContext& context, const DecodeBatch& batch,
                   const PreparedActivations* prepared) {
  using Many = ManyBlocks<fragment_format(kType)>;
  using Chunk = typename Many::Chunk;
  DecodeParameters p = decode_parameters(batch, kType);
  if (prepared == nullptr) return launch_own<Chunk>(context, p);
  p.prepared = *prepared;
  if (prepared->piece_bytes != 0) return launch_many<Many>(context, p, batch.choice);
  launch_kernel<Chunk, 4, false, Blocks::kLarge>(context, p);
}

}  // namespace neuros::kernels::cuda
