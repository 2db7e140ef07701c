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
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prepared_halves.cuh"

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

/// Tiles of one width: some of a launch's row tiles by all tokens.
struct TileGrid {
  int first_row_tile, row_tiles;
  int token_tiles, width;
};

/// Where tile `index` is in a grid of `row_tiles` x `token_tiles`.
struct TilePlace {
  int row_tile, token_tile;

  __device__ __forceinline__ TilePlace(int row_tiles, int token_tiles, int index) {
    const int group = index / (kTokenTilesOfGroup * row_tiles);
    const int first = group * kTokenTilesOfGroup;
    const int in_group = min(kTokenTilesOfGroup, token_tiles - first);
    const int rest = index - first * row_tiles;
    row_tile = rest / in_group;
    token_tile = first + rest % in_group;
  }
};

/// The task that a row tile, counted through all tasks, belongs to; the last one if it is past it.
__device__ __forceinline__ int task_of(const ProductArgs& args, int row_tile) {
  int task = 0;
  while (task + 1 < args.task_count && row_tile >= args.tasks[task + 1].first_tile) ++task;
  return task;
}

/// Tile `index` of a grid. Blocks that share their tokens are a cluster: they have the same index,
/// which then counts `cluster` row tiles as one, and `rank` tells them apart. A tile past the last
/// is past the last task's rows.
__device__ __forceinline__ Tile find_tile(const ProductArgs& args, const TileGrid& grid, int index,
                                          int cluster = 1, int rank = 0) {
  const TilePlace place((grid.row_tiles + cluster - 1) / cluster, grid.token_tiles, index);
  const int row_tile = grid.first_row_tile + place.row_tile * cluster + rank;
  const int task = task_of(args, row_tile);
  return {.task = task,
          .row = (row_tile - args.tasks[task].first_tile) * args.tile_rows(),
          .token = place.token_tile * grid.width};
}

// A tile is made of strips of four warps, each of which it can write without the others: 64 rows of
// sums, of SwiGLU 32 of either matrix.
inline constexpr int kStripThreads = kTileThreads / 2;
inline constexpr int kStripPanels = kTilePanels / 2;
inline constexpr int kStripRows = kTileRows / 2;  ///< of sums; SwiGLU makes half as many of y

/// Strip `i` of a tile.
__device__ __forceinline__ Tile strip_of(const ProductArgs& args, Tile tile, int i) {
  tile.row += i * args.strip_rows();
  return tile;
}

/// Panel `i` of a strip; past the matrix's end its last panel, whose sums are then not written.
__device__ __forceinline__ const std::byte* strip_panel(const ProductArgs& args, const Tile& strip,
                                                        int i) {
  const ProductTask& task = args.tasks[strip.task];
  const bool is_up = args.swiglu && i >= kStripPanels / 2;
  const int panel = strip.row / kPanelRows + (args.swiglu ? i % 2 : i);
  const int last = (task.rows - 1) / kPanelRows;
  return (is_up ? task.up : task.weight) + min(panel, last) * args.panel_bytes;
}

/// Warp `i`'s panel of a tile.
__device__ __forceinline__ const std::byte* tile_panel(const ProductArgs& args, const Tile& tile,
                                                       int i) {
  return strip_panel(args, strip_of(args, tile, i / kStripPanels), i % kStripPanels);
}

// Sums are turned round in shared memory, kSliceTokens tokens at a time, so that stores to memory
// run along rows. Lane 4g + t holds rows g, g + 8 and tokens 2t, 2t + 1 of each 8; the padding of a
// token's 64 sums by 4 makes both its stores (banks 8t + g) and the 16-byte loads free of
// conflicts.
inline constexpr int kSliceTokens = 32;
inline constexpr int kSliceStride = kStripRows + 4;
inline constexpr int kSliceFloats = kSliceTokens * kSliceStride;
inline constexpr int kStripStageFloats = 2 * kSliceFloats;  ///< two slices take turns
inline constexpr int kStageBytes = 2 * kStripStageFloats * 4;

/// silu(gate) * up to 1e-6 or so: an exact quotient would take longer than all else of the writing.
__device__ __forceinline__ float silu_times(float gate, float up) {
  return __fmul_rn(__fdividef(gate, __fadd_rn(1.0f, __expf(-gate))), up);
}
__device__ __forceinline__ float4 silu_times(float4 gate, float4 up) {
  return {silu_times(gate.x, up.x), silu_times(gate.y, up.y), silu_times(gate.z, up.z),
          silu_times(gate.w, up.w)};
}
__device__ __forceinline__ float4 add(float4 a, float4 b) {
  return {__fadd_rn(a.x, b.x), __fadd_rn(a.y, b.y), __fadd_rn(a.z, b.z), __fadd_rn(a.w, b.w)};
}
__device__ __forceinline__ float4 load_four(const float* at) {
  return *reinterpret_cast<const float4*>(at);
}
__device__ __forceinline__ float4 load_four_past_l1(const float* at) {
  return __ldcg(reinterpret_cast<const float4*>(at));
}

/// What a token's sums are multiplied by: of bf16 that is 1, in any case.
template <bool kIsBf16>
class TokenFactor {
 public:
  __device__ __forceinline__ void load(const ProductArgs& args, int token) {
    if constexpr (!kIsBf16) factor_ = __fmul_rn(args.token_factors[token], args.weight_factor);
  }
  __device__ __forceinline__ float times(float sum) const {
    return kIsBf16 ? sum : __fmul_rn(sum, factor_);
  }
  __device__ __forceinline__ float4 times_four(const float* sums) const {
    const float4 v = load_four(sums);
    return {times(v.x), times(v.y), times(v.z), times(v.w)};
  }

 private:
  float factor_ = 0.0f;
};

/// What a thread of a strip writes: four rows of every kStep-th token.
template <bool kSwiglu>
struct OwnRows {
  static constexpr int kQuads = kStripRows / (kSwiglu ? 8 : 4);
  static constexpr int kStep = kStripThreads / kQuads;
  static constexpr int kCount = kSliceTokens / kStep;  ///< tokens of a slice

  const ProductTask& task;
  int in_strip;  ///< first of the rows in the strip
  int row;       ///< in the matrix
  int token;     ///< the first, in its slice

  __device__ __forceinline__ OwnRows(const ProductArgs& args, const Tile& strip, int index)
      : task(args.tasks[strip.task]) {
    const int thread = index % kStripThreads;
    in_strip = thread % kQuads * 4;
    row = strip.row + in_strip;
    token = thread / kQuads;
  }

  /// Where the rows of the i-th token of a slice lie in [tokens, rows].
  __device__ __forceinline__ int64_t place(int slice_token, int i) const {
    return static_cast<int64_t>(slice_token + token + i * kStep) * task.rows + row;
  }
};

/// What a thread's part of a slice is made of beside sums: loaded before the slices in front of it
/// are written, all of it at a time, as loads would otherwise wait for the stores before them.
template <bool kSwiglu, bool kIsBf16>
struct SliceExtras {
  using Rows = OwnRows<kSwiglu>;
  TokenFactor<kIsBf16> factor[Rows::kCount];
  float4 residual[kSwiglu ? 1 : Rows::kCount];

  __device__ __forceinline__ void load(const ProductArgs& args, const Rows& rows, int token) {
    const float* from = rows.task.residual;
    const bool has_residual =
        !kSwiglu && from != nullptr && rows.task.aligned && rows.row < rows.task.rows;
#pragma unroll
    for (int i = 0; i < Rows::kCount; ++i) {
      const int of = token + rows.token + i * Rows::kStep;
      if (of >= args.tokens) continue;
      factor[i].load(args, of);
      if constexpr (!kSwiglu) {
        if (has_residual) residual[i] = load_four_past_l1(from + rows.place(token, i));
      }
    }
  }
};

/// A thread's part of a slice where a task's rows or pointers do not allow 16-byte accesses, or
/// there is a gate: one by one.
template <bool kSwiglu, bool kIsBf16>
__device__ __forceinline__ void write_one_by_one(const ProductArgs& args,
                                                 const OwnRows<kSwiglu>& rows, const float* slice,
                                                 int token) {
  using Rows = OwnRows<kSwiglu>;
  const ProductTask& task = rows.task;
#pragma unroll 1
  for (int i = 0; i < 4 * Rows::kCount; ++i) {
    const int of = rows.token + i / 4 * Rows::kStep, row = i % 4;
    if (token + of >= args.tokens) return;
    if (rows.row + row >= task.rows) continue;
    TokenFactor<kIsBf16> factor;
    factor.load(args, token + of);
    const float* sums = slice + of * kSliceStride + rows.in_strip + row;
    const int64_t at = rows.place(token, i / 4) + row;
    float value = factor.times(sums[0]);
    if (kSwiglu) value = silu_times(value, factor.times(sums[kStripRows / 2]));
    if (task.bias != nullptr) value = __fadd_rn(value, task.bias[rows.row + row]);
    if (task.residual != nullptr) value = __fadd_rn(value, __ldcg(task.residual + at));
    if (task.gate != nullptr) value = silu_times(__ldcg(task.gate + at), value);
    task.y[at] = value;
  }
}

/// A thread's part of a slice from shared memory to y; `token` is the slice's first.
template <bool kSwiglu, bool kIsBf16>
__device__ __forceinline__ void write_slice(const ProductArgs& args, const OwnRows<kSwiglu>& rows,
                                            const SliceExtras<kSwiglu, kIsBf16>& extras,
                                            float4 bias, const float* slice, int token) {
  using Rows = OwnRows<kSwiglu>;
  const ProductTask& task = rows.task;
  if (!task.aligned || task.gate != nullptr) {
    return write_one_by_one<kSwiglu, kIsBf16>(args, rows, slice, token);
  }
  if (rows.row >= task.rows) return;
  const float* sums = slice + rows.token * kSliceStride + rows.in_strip;
  float4 values[Rows::kCount];
#pragma unroll
  for (int i = 0; i < Rows::kCount; ++i) {
    const float* at = sums + i * Rows::kStep * kSliceStride;
    values[i] = extras.factor[i].times_four(at);
    if constexpr (kSwiglu) {
      values[i] = silu_times(values[i], extras.factor[i].times_four(at + kStripRows / 2));
    } else {
      if (task.bias != nullptr) values[i] = add(values[i], bias);
      if (task.residual != nullptr) values[i] = add(values[i], extras.residual[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < Rows::kCount; ++i) {
    if (token + rows.token + i * Rows::kStep >= args.tokens) return;
    *reinterpret_cast<float4*>(task.y + rows.place(token, i)) = values[i];
  }
}

/// A lane's sums of a slice to their places in a buffer of the strip. Sums are in registers, which
/// takes code for each slice: where `slice` is a variable, only one of those runs.
template <int kTokens>
__device__ __forceinline__ void stage_slice(const float (&sums)[kTokens / 2], int slice,
                                            float* buffer, int thread) {
  const int lane = thread % 32, panel = thread / 32 % kStripPanels;
  float* const own = buffer + 2 * (lane % 4) * kSliceStride + panel * kPanelRows + lane / 4;
#pragma unroll
  for (int known = 0; known < kTokens / kSliceTokens; ++known) {
    if (known != slice) continue;
#pragma unroll
    for (int j = 0; j < kSliceTokens / 8; ++j) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int place = (8 * j + c % 2) * kSliceStride + c / 2 * 8;
        own[place] = sums[(known * (kSliceTokens / 8) + j) * 4 + c];
      }
    }
  }
}

template <bool kSwiglu>
__device__ __forceinline__ float4 load_bias(const OwnRows<kSwiglu>& rows) {
  const ProductTask& task = rows.task;
  if (kSwiglu || !task.aligned || task.bias == nullptr || rows.row >= task.rows) return {};
  return load_four(task.bias + rows.row);
}

template <bool kSwiglu, int kTokens, bool kIsBf16, typename Sync>
__device__ __forceinline__ void write_rows(const ProductArgs& args, const Tile& strip,
                                           const float (&sums)[kTokens / 2], float* stage,
                                           Sync sync) {
  constexpr int kSlices = kTokens / kSliceTokens;
  const int thread = thread_index();
  const OwnRows<kSwiglu> rows(args, strip, thread);
  const float4 bias = load_bias(rows);
  SliceExtras<kSwiglu, kIsBf16> extras;
  extras.load(args, rows, strip.token);
#pragma unroll
  for (int slice = 0; slice < kSlices; ++slice) {
    const int token = strip.token + slice * kSliceTokens;
    if (token >= args.tokens) return;
    float* const buffer = stage + slice % 2 * kSliceFloats;
    stage_slice<kTokens>(sums, slice, buffer, thread);
    sync();
    SliceExtras<kSwiglu, kIsBf16> next;
    if (slice + 1 < kSlices) next.load(args, rows, token + kSliceTokens);
    write_slice(args, rows, extras, bias, buffer, token);
    extras = next;
  }
}

/// Extras of the slice that is written and the kAhead after it, where there are registers for them.
template <bool kIsBf16, int kAhead>
struct SlicesAhead {
  SliceExtras<false, kIsBf16> slices[kAhead + 1];

  /// Before the first slice is written; its sums need not be there.
  __device__ __forceinline__ void load_first(const ProductArgs& args, const Tile& strip) {
    const OwnRows<false> rows(args, strip, thread_index());
#pragma unroll
    for (int i = 0; i < kAhead; ++i) slices[i].load(args, rows, strip.token + i * kSliceTokens);
  }
};

/// write_rows() with more of them under way; `ahead` after load_first().
template <int kTokens, bool kIsBf16, int kAhead, typename Sync>
__device__ __forceinline__ void write_rows_ahead(const ProductArgs& args, const Tile& strip,
                                                 const float (&sums)[kTokens / 2], float* stage,
                                                 Sync sync, SlicesAhead<kIsBf16, kAhead>& ahead) {
  constexpr int kSlices = kTokens / kSliceTokens;
  const int thread = thread_index();
  const OwnRows<false> rows(args, strip, thread);
  const float4 bias = load_bias(rows);
#pragma unroll
  for (int slice = 0; slice < kSlices; ++slice) {
    const int token = strip.token + slice * kSliceTokens;
    if (token >= args.tokens) return;
    float* const buffer = stage + slice % 2 * kSliceFloats;
    stage_slice<kTokens>(sums, slice, buffer, thread);
    sync();
    if (slice + kAhead < kSlices) {
      const int later = (slice + kAhead) % (kAhead + 1);
      ahead.slices[later].load(args, rows, token + kAhead * kSliceTokens);
    }
    write_slice(args, rows, ahead.slices[slice % (kAhead + 1)], bias, buffer, token);
  }
}

/// SwiGLU of a strip as the operand of the next product. Tokens of one thread are multiples of 8
/// apart: their parts lie at the same place of their 128 bytes.
template <int kTokens, typename Sync>
__device__ __forceinline__ void write_prepared(const ProductArgs& args, const Tile& strip,
                                               const float (&sums)[kTokens / 2], float* stage,
                                               Sync sync) {
  using Rows = OwnRows<true>;
  static_assert(Rows::kStep % 8 == 0);
  const int thread = thread_index();
  const Rows rows(args, strip, thread);
  if (strip.row >= rows.task.rows) return;  // all of it: rows are a multiple of a strip's
  const int first = strip.token + rows.token;
  std::byte* const to = rows.task.prepared + prepared_place(args.padded_tokens, first, rows.row);
#pragma unroll
  for (int slice = 0; slice < kTokens / kSliceTokens; ++slice) {
    if (strip.token + slice * kSliceTokens >= args.tokens) return;
    float* const buffer = stage + slice % 2 * kSliceFloats;
    stage_slice<kTokens>(sums, slice, buffer, thread);
    sync();
    const float* own = buffer + rows.token * kSliceStride + rows.in_strip;
#pragma unroll
    for (int i = 0; i < Rows::kCount; ++i, own += Rows::kStep * kSliceStride) {
      const int ahead = slice * kSliceTokens + i * Rows::kStep;
      const float4 y = silu_times(load_four(own), load_four(own + kStripRows / 2));
      const uint2 halves =
          prepared_halves(rows.row, round_pair<true>(y.x, y.y), round_pair<true>(y.z, y.w));
      if (first + ahead < args.tokens) {
        *reinterpret_cast<uint2*>(to + ahead * kBlockRowBytes) = halves;
      }
    }
  }
}

/// Writes a strip. sums[4 j + c] of lane 4g + t: token 8 j + 2 t + c % 2, row g + 8 (c / 2) of the
/// warp's panel. `stage`: of the strip; `sync` is a barrier of its threads, or of more. One a slice
/// suffices, as a slice's buffer is written again only after the barrier of the slice in between.
/// `write_plain` writes one that is not SwiGLU's.
template <int kTokens, bool kIsBf16, typename Sync, typename WritePlain>
__device__ __forceinline__ void write_strip(const ProductArgs& args, const Tile& strip,
                                            const float (&sums)[kTokens / 2], float* stage,
                                            Sync sync, WritePlain write_plain) {
  if (!args.swiglu) {
    write_plain();
  } else if (kIsBf16 && args.tasks[strip.task].prepared != nullptr) {
    write_prepared<kTokens>(args, strip, sums, stage, sync);
  } else {
    write_rows<true, kTokens, kIsBf16>(args, strip, sums, stage, sync);
  }
}

template <int kTokens, bool kIsBf16, typename Sync>
__device__ __forceinline__ void write_strip(const ProductArgs& args, const Tile& strip,
                                            const float (&sums)[kTokens / 2], float* stage,
                                            Sync sync) {
  write_strip<kTokens, kIsBf16>(args, strip, sums, stage, sync, [&] {
    write_rows<false, kTokens, kIsBf16>(args, strip, sums, stage, sync);
  });
}

/// Writes a tile of two strips, each by its threads.
template <int kTokens, bool kIsBf16, typename Sync>
__device__ __forceinline__ void write_tile(const ProductArgs& args, const Tile& tile,
                                           const float (&sums)[kTokens / 2], float* stage,
                                           Sync sync) {
  const int strip = thread_index() / kStripThreads;
  const Tile own = strip_of(args, tile, strip);
  write_strip<kTokens, kIsBf16>(args, own, sums, stage + strip * kStripStageFloats, sync);
}

}  // namespace neuros::kernels::cuda::prefill
