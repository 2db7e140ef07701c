#pragma once

/// What the tensor-core kernels of prompt rows share: which tile is whose, and how a tile's sums
/// get to memory.
///
/// Same bits in any batch: the sum of an element is built by one kind of instruction, 16 columns at
/// a time from the first column to the last, into one f32 accumulator; no sum is split. Neither the
/// place of a token in its tile nor the width of the tile changes what is added in which order, and
/// other tokens are other columns of the B operand, which never mix. The operand itself is made of
/// the token's row alone (prefill_prepare.cu).

#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/prefill_product.h"

namespace neuros::kernels::cuda::prefill {

/// Threads that multiply and write a tile: a warp for each panel.
inline constexpr int kTileThreads = kTilePanels * 32;
/// Token tiles that blocks running at the same time go through before the next weights: the weights
/// of a wave are then read from L2 by up to eight blocks, and the activations by all others.
inline constexpr int kTokenTilesOfGroup = 8;

struct Tile {
  int task;
  int row;    ///< first row in the task's matrix
  int token;  ///< first token
};

/// Tile `index` of a launch, `width` tokens wide. Blocks that share their tokens are a cluster:
/// they have the same index, which then counts `cluster` row tiles as one, and `rank` tells them
/// apart. A tile past the last is past the last task's rows.
__device__ __forceinline__ Tile find_tile(const ProductArgs& args, int index, int width,
                                          int cluster = 1, int rank = 0) {
  const int row_tiles = (args.row_tiles + cluster - 1) / cluster;
  const int group = index / (kTokenTilesOfGroup * row_tiles);
  const int first = group * kTokenTilesOfGroup;
  const int in_group = min(kTokenTilesOfGroup, args.token_tiles - first);
  const int rest = index - first * row_tiles;
  const int row_tile = rest / in_group * cluster + rank;
  int task = 0;
  while (task + 1 < args.task_count && row_tile >= args.tasks[task + 1].first_tile) ++task;
  return {.task = task,
          .row = (row_tile - args.tasks[task].first_tile) * args.tile_rows(),
          .token = (first + rest % in_group) * width};
}

/// Panel `i` of the tile; past the matrix's end its last panel, whose sums are then not written.
__device__ __forceinline__ const std::byte* tile_panel(const ProductArgs& args, const Tile& tile,
                                                       int i) {
  const ProductTask& task = args.tasks[tile.task];
  const bool is_up = args.swiglu && i >= kTilePanels / 2;
  const int panel = tile.row / kPanelRows + (is_up ? i - kTilePanels / 2 : i);
  const int last = (task.rows - 1) / kPanelRows;
  return (is_up ? task.up : task.weight) + min(panel, last) * args.panel_bytes;
}

// Sums are turned round in shared memory, kSliceTokens tokens at a time, so that stores to memory
// run along rows. Lane 4g + t holds rows g, g + 8 and tokens 2t, 2t + 1 of each 8; the padding of a
// token's 128 sums by 4 makes both its stores (banks 8t + g) and the 16-byte loads free of
// conflicts.
inline constexpr int kSliceTokens = 32;
inline constexpr int kSliceStride = kTileRows + 4;
inline constexpr int kSliceFloats = kSliceTokens * kSliceStride;
inline constexpr int kStageBytes = 2 * kSliceFloats * 4;  ///< two slices take turns

__device__ __forceinline__ float silu_times(float gate, float up) {
  return __fmul_rn(__fdiv_rn(gate, __fadd_rn(1.0f, expf(-gate))), up);
}
__device__ __forceinline__ float4 silu_times(float4 gate, float4 up) {
  return {silu_times(gate.x, up.x), silu_times(gate.y, up.y), silu_times(gate.z, up.z),
          silu_times(gate.w, up.w)};
}

/// Four rows of one token, with all that a task adds to a product.
__device__ __forceinline__ void write_rows(const ProductTask& task, int64_t token, int row,
                                           float4 v) {
  const int64_t at = token * task.rows + row;
  if (task.aligned) {
    if (task.bias != nullptr) {
      const float4 b = *reinterpret_cast<const float4*>(task.bias + row);
      v = {__fadd_rn(v.x, b.x), __fadd_rn(v.y, b.y), __fadd_rn(v.z, b.z), __fadd_rn(v.w, b.w)};
    }
    if (task.residual != nullptr) {
      const float4 r = *reinterpret_cast<const float4*>(task.residual + at);
      v = {__fadd_rn(v.x, r.x), __fadd_rn(v.y, r.y), __fadd_rn(v.z, r.z), __fadd_rn(v.w, r.w)};
    }
    if (task.gate != nullptr) {
      v = silu_times(*reinterpret_cast<const float4*>(task.gate + at), v);
    }
    *reinterpret_cast<float4*>(task.y + at) = v;
    return;
  }
  const float values[4]{v.x, v.y, v.z, v.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (row + i >= task.rows) return;
    float value = values[i];
    if (task.bias != nullptr) value = __fadd_rn(value, task.bias[row + i]);
    if (task.residual != nullptr) value = __fadd_rn(value, task.residual[at + i]);
    if (task.gate != nullptr) value = silu_times(task.gate[at + i], value);
    task.y[at + i] = value;
  }
}

__device__ __forceinline__ float4 scaled(const float* sums, float factor) {
  const float4 v = *reinterpret_cast<const float4*>(sums);
  return {__fmul_rn(v.x, factor), __fmul_rn(v.y, factor), __fmul_rn(v.z, factor),
          __fmul_rn(v.w, factor)};
}

/// A slice from shared memory to y, by all kTileThreads; `token` is its first.
__device__ __forceinline__ void write_slice(const ProductArgs& args, const Tile& tile,
                                            const float* slice, int token) {
  const ProductTask& task = args.tasks[tile.task];
  const int quads = args.tile_rows() / 4;
  const int quad = static_cast<int>(threadIdx.x) % quads;
  const int row = tile.row + 4 * quad;
  if (row >= task.rows) return;
  for (int i = static_cast<int>(threadIdx.x) / quads; i < kSliceTokens; i += kTileThreads / quads) {
    if (token + i >= args.tokens) return;
    const float factor = __fmul_rn(args.token_factors[token + i], args.weight_factor);
    const float* sums = slice + i * kSliceStride + 4 * quad;
    float4 v = scaled(sums, factor);
    if (args.swiglu) {
      v = silu_times(v, scaled(sums + kTileRows / 2, factor));
    }
    write_rows(task, token + i, row, v);
  }
}

/// Writes a tile. sums[4 j + c] of lane 4g + t: token 8 j + 2 t + c % 2, row g + 8 (c / 2) of the
/// warp's panel. `sync` is a barrier of the kTileThreads threads; one a slice suffices, as a
/// slice's buffer is written again only after the barrier of the slice in between.
template <int kTokens, typename Sync>
__device__ __forceinline__ void write_tile(const ProductArgs& args, const Tile& tile,
                                           const float (&sums)[kTokens / 2], float* stage,
                                           Sync sync) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int panel = static_cast<int>(threadIdx.x) / 32;
  float* const own = stage + 2 * (lane % 4) * kSliceStride + panel * kPanelRows + lane / 4;
#pragma unroll
  for (int slice = 0; slice < kTokens / kSliceTokens; ++slice) {
    const int token = tile.token + slice * kSliceTokens;
    if (token >= args.tokens) return;
    float* const buffer = own + slice % 2 * kSliceFloats;
#pragma unroll
    for (int j = 0; j < kSliceTokens / 8; ++j) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int place = (8 * j + c % 2) * kSliceStride + c / 2 * 8;
        buffer[place] = sums[(slice * (kSliceTokens / 8) + j) * 4 + c];
      }
    }
    sync();
    write_slice(args, tile, stage + slice % 2 * kSliceFloats, token);
  }
}

}  // namespace neuros::kernels::cuda::prefill
