#pragma once

/// Writing strips of the products of queries, keys and values as finished heads: rotated, keys and
/// values in their pages. For heads without norms, whose rotation turns neighbours: what an element
/// needs is then within four rows of it. The rest is finish_heads_prompt.cu's.
///
/// They are finished along rows as in write_rows(), and queries and values written so. Keys lie
/// transposed in their pages, neighbouring tokens beside each other: a lane writes those of one
/// token, of 16 neighbouring rows.

#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tile.cuh"
#include "kernels/cuda/prepared_halves.cuh"

namespace neuros::kernels::cuda::prefill {

/// Which sums of a slice a thread finishes: four times four neighbouring rows of a token.
struct HeadRows {
  static constexpr int kFours = 4;
  static_assert(kFours * 4 * kStripThreads == kSliceTokens * kStripRows);

  const ProductTask& task;
  int in_strip;  ///< the first
  int token;     ///< in the slice
  int row;       ///< the first, in the matrix

  __device__ __forceinline__ bool exist() const { return row < task.rows; }
};

/// Of tokens 8 apart: a warp has whole rows of the strip, of two tokens at a time.
struct RowsAlong : HeadRows {
  __device__ __forceinline__ RowsAlong(const ProductArgs& args, const Tile& strip, int thread)
      : HeadRows{args.tasks[strip.task], thread % 16 * 4, thread / 16 % 8,
                 strip.row + thread % 16 * 4} {}

  static constexpr int kTokenStep = kSliceTokens / kFours;
};

/// Of one token: neighbouring lanes have neighbouring tokens, of 16 rows that follow one another.
struct RowsAcross : HeadRows {
  __device__ __forceinline__ RowsAcross(const ProductArgs& args, const Tile& strip, int thread)
      : HeadRows{args.tasks[strip.task], thread / 32 % kStripPanels * kPanelRows,
                 thread % kSliceTokens, strip.row + thread / 32 % kStripPanels * kPanelRows} {}
};

/// What the sums of a slice are finished with.
template <HeadRole kRole, bool kIsBf16>
struct HeadExtras {
  static constexpr bool kIsTurned = kRole != HeadRole::kValue;
  TokenFactor<kIsBf16> factor[HeadRows::kFours];
  float4 rotation[kIsTurned ? HeadRows::kFours : 1];

  /// `first`: token of the slice. Past the last token the last one's.
  __device__ __forceinline__ void load(const ProductArgs& args, const RowsAlong& rows, int first) {
    const int dim = rows.row % args.heads.head_dim;
#pragma unroll
    for (int i = 0; i < HeadRows::kFours; ++i) {
      const int token = min(first + rows.token + i * RowsAlong::kTokenStep, args.tokens - 1);
      factor[i].load(args, token);
      if constexpr (!kIsTurned) continue;
      rotation[i] = {1.0f, 0.0f, 1.0f, 0.0f};
      if (dim < args.heads.rope_dims) {
        const int64_t turn = static_cast<int64_t>(token) * args.heads.rope_dims + dim;
        rotation[i] = load_four(args.heads.rope + turn);
      }
    }
  }
};

/// Two pairs of neighbours, turned by {cosine, sine} of either.
__device__ __forceinline__ float4 rotated(float4 x, float4 turn) {
  return {__fmaf_rn(x.x, turn.x, -__fmul_rn(x.y, turn.y)),
          __fmaf_rn(x.x, turn.y, __fmul_rn(x.y, turn.x)),
          __fmaf_rn(x.z, turn.z, -__fmul_rn(x.w, turn.w)),
          __fmaf_rn(x.z, turn.w, __fmul_rn(x.w, turn.z))};
}

/// Two numbers of a page, the lower one first.
__device__ __forceinline__ uint32_t page_pair(bool is_bf16, float low, float high) {
  return is_bf16 ? round_pair<true>(low, high) : round_pair<false>(low, high);
}

// A page and a token's place in it, of up to 64, in one number.
__device__ __forceinline__ int page_slot(const HeadsView& view, int token) {
  const int position = view.positions[token];
  const int32_t* pages = view.pages + view.page_start[view.sequence_of_row[token]];
  return pages[position / view.page_tokens] * 64 + position % view.page_tokens;
}

__device__ __forceinline__ void store_key_fours(const HeadsView& view, uint16_t* key, int dim,
                                                uint32_t low, uint32_t high) {
  uint16_t* to = key + dim * view.page_tokens;
  to[0] = static_cast<uint16_t>(low);
  to[view.page_tokens] = static_cast<uint16_t>(low >> 16);
  to[2 * view.page_tokens] = static_cast<uint16_t>(high);
  to[3 * view.page_tokens] = static_cast<uint16_t>(high >> 16);
}

/// Adds the bias of four neighbouring rows, if there is one.
__device__ __forceinline__ float4 biased(float4 x, const ProductTask& task, int row) {
  return task.bias == nullptr ? x : add(x, load_four(task.bias + row));
}

/// Finishes a thread's part of a slice, and calls use(i, where it lies in the slice, the i-th
/// four).
template <HeadRole kRole, bool kIsBf16, typename Use>
__device__ __forceinline__ void finish_slice(const RowsAlong& rows,
                                             const HeadExtras<kRole, kIsBf16>& extras, float* slice,
                                             Use use) {
#pragma unroll
  for (int i = 0; i < HeadRows::kFours; ++i) {
    float* const at =
        slice + (rows.token + i * RowsAlong::kTokenStep) * kSliceStride + rows.in_strip;
    const float4 x = biased(extras.factor[i].times_four(at), rows.task, rows.row);
    if constexpr (kRole == HeadRole::kValue) {
      use(i, at, x);
    } else {
      use(i, at, rotated(x, extras.rotation[i]));
    }
  }
}

/// The keys or values of a head in a token's page.
__device__ __forceinline__ uint16_t* head_in_page(const HeadsView& view, int row, int slot,
                                                  bool is_value) {
  const int head = row / view.head_dim + (is_value ? view.kv_heads : 0);
  return reinterpret_cast<uint16_t*>(view.layer + slot / 64 * view.page_bytes +
                                     head * view.head_bytes);
}

/// Writes a thread's part of a slice of finished keys to its token's page.
__device__ __forceinline__ void write_key(const ProductArgs& args, const RowsAcross& rows,
                                          const float* slice, int slot) {
  const HeadsView& view = args.heads;
  const float* from = slice + rows.token * kSliceStride + rows.in_strip;
  uint16_t* const to = head_in_page(view, rows.row, slot, false) + slot % 64;
  const int dim = rows.row % view.head_dim;
#pragma unroll
  for (int i = 0; i < HeadRows::kFours; ++i) {
    const float4 x = load_four(from + 4 * i);
    store_key_fours(view, to, dim + 4 * i, page_pair(args.bf16_pages, x.x, x.y),
                    page_pair(args.bf16_pages, x.z, x.w));
  }
}

/// Four neighbouring rows of a value to a token's page.
__device__ __forceinline__ void write_value(const ProductArgs& args, int row, float4 x, int slot) {
  const HeadsView& view = args.heads;
  uint16_t* const to = head_in_page(view, row, slot, true) + slot % 64 * view.head_dim;
  *reinterpret_cast<uint2*>(to + row % view.head_dim) = {page_pair(args.bf16_pages, x.x, x.y),
                                                         page_pair(args.bf16_pages, x.z, x.w)};
}

/// Where the tokens of a lane, one of each slice, lie in their pages (page_slot()): found together,
/// as each takes three loads one after another. Not in registers.
template <int kTokens>
struct LaneSlots {
  int of[kTokens / kSliceTokens];

  __device__ __forceinline__ LaneSlots(const ProductArgs& args, int token) {
#pragma unroll
    for (int i = 0; i < kTokens / kSliceTokens; ++i) {
      of[i] = page_slot(args.heads, min(token + i * kSliceTokens, args.tokens - 1));
    }
  }
};
template <>
struct LaneSlots<0> {
  __device__ __forceinline__ LaneSlots(const ProductArgs& /*args*/, int /*token*/) {}
};

/// Queries to their rows, values to their pages; keys back to the slice, and from there to theirs.
/// In a loop: without one, what comes once a tile is fetched anew for each slice. And nothing is
/// loaded a slice ahead: beside the sums there are no registers for it, and what is spilled comes
/// from L2 as well.
template <HeadRole kRole, int kTokens, bool kIsBf16, typename Sync>
__device__ __forceinline__ void write_head_rows(const ProductArgs& args, const Tile& strip,
                                                const float (&sums)[kTokens / 2], float* stage,
                                                Sync sync) {
  constexpr int kSlices = kTokens / kSliceTokens;
  constexpr bool kHasPages = kRole != HeadRole::kQuery;
  const int thread = thread_index();
  const RowsAlong rows(args, strip, thread);
  const LaneSlots<kHasPages ? kTokens : 0> slots(args, strip.token + thread % kSliceTokens);
#pragma unroll 1
  for (int index = 0; index < kSlices; ++index) {
    const int first = strip.token + index * kSliceTokens;
    if (first >= args.tokens) return;
    HeadExtras<kRole, kIsBf16> extras;
    extras.load(args, rows, first);
    float* const slice = stage + index % 2 * kSliceFloats;
    stage_slice<kTokens>(sums, index, slice, thread);
    sync();
    int slot = 0;
    if constexpr (kHasPages) slot = slots.of[index];
    finish_slice(rows, extras, slice, [&](int i, float* at, float4 x) {
      const int in_slice = rows.token + i * RowsAlong::kTokenStep;
      int own_slot = 0;
      if constexpr (kRole == HeadRole::kValue) own_slot = __shfl_sync(~0u, slot, in_slice);
      if (!rows.exist()) return;
      if constexpr (kRole == HeadRole::kKey) {
        *reinterpret_cast<float4*>(at) = x;
      } else if (first + in_slice < args.tokens) {
        if constexpr (kRole == HeadRole::kValue) {
          write_value(args, rows.row, x, own_slot);
        } else {
          const int64_t place = static_cast<int64_t>(first + in_slice) * rows.task.rows + rows.row;
          *reinterpret_cast<float4*>(rows.task.y + place) = x;
        }
      }
    });
    if constexpr (kRole == HeadRole::kKey) {
      sync();
      const RowsAcross across(args, strip, thread);
      if (across.exist() && first + across.token < args.tokens) {
        write_key(args, across, slice, slot);
      }
    }
  }
}

/// write_strip() of a task that has heads.
template <int kTokens, bool kIsBf16, typename Sync>
__device__ __forceinline__ void write_heads(const ProductArgs& args, const Tile& strip,
                                            const float (&sums)[kTokens / 2], float* stage,
                                            Sync sync) {
  switch (args.tasks[strip.task].role) {
    case HeadRole::kQuery:
      return write_head_rows<HeadRole::kQuery, kTokens, kIsBf16>(args, strip, sums, stage, sync);
    case HeadRole::kKey:
      return write_head_rows<HeadRole::kKey, kTokens, kIsBf16>(args, strip, sums, stage, sync);
    case HeadRole::kValue:
      return write_head_rows<HeadRole::kValue, kTokens, kIsBf16>(args, strip, sums, stage, sync);
    case HeadRole::kNone:
      return;
  }
}

}  // namespace neuros::kernels::cuda::prefill
