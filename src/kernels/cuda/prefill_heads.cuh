#pragma once

/// Writing strips of the products of queries, keys and values as finished heads: rotated, keys and
/// values in their pages. For heads without norms, whose rotation turns neighbours: what an element
/// needs is then within four rows of it. The rest is finish_heads_prompt.cu's.
///
/// Queries are written along rows as in write_rows(). A lane has keys and values of one token, of
/// 16 neighbouring rows: keys lie transposed in their pages, neighbouring tokens beside each other,
/// and 16 elements of a value are a sector.

#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tile.cuh"
#include "kernels/cuda/prepared_halves.cuh"

namespace neuros::kernels::cuda::prefill {

/// Which sums of a slice a thread finishes: four times four neighbouring rows of a token.
template <HeadRole kRole>
class HeadRows {
 public:
  static constexpr int kFours = 4;
  static constexpr bool kIsQuery = kRole == HeadRole::kQuery;
  static_assert(kFours * 4 * kStripThreads == kSliceTokens * kStripRows);

  __device__ __forceinline__ HeadRows(const ProductArgs& args, const Tile& strip, int thread)
      : task(args.tasks[strip.task]),
        in_strip_(kIsQuery ? thread % 16 * 4 : thread / 32 % kStripPanels * kPanelRows),
        token_(kIsQuery ? thread / 16 % 8 : thread % kSliceTokens),
        row_(strip.row + in_strip_),
        dim_(row_ % args.heads.head_dim) {}

  __device__ __forceinline__ bool exist() const { return row_ < task.rows; }
  __device__ __forceinline__ int row() const { return row_; }  ///< the first, in the matrix
  /// Of the i-th four.
  __device__ __forceinline__ int in_strip(int i) const {
    return in_strip_ + (kIsQuery ? 0 : 4 * i);
  }
  __device__ __forceinline__ int dim(int i) const { return dim_ + (kIsQuery ? 0 : 4 * i); }
  /// In the slice.
  __device__ __forceinline__ int token(int i) const { return token_ + (kIsQuery ? 8 * i : 0); }

  const ProductTask& task;

 private:
  int in_strip_, token_, row_, dim_;
};

/// What the sums of a slice are finished with, loaded a slice ahead.
template <HeadRole kRole, bool kIsBf16>
struct HeadExtras {
  using Rows = HeadRows<kRole>;
  TokenFactor<kIsBf16> factor[Rows::kIsQuery ? Rows::kFours : 1];
  float4 rotation[kRole == HeadRole::kValue ? 1 : Rows::kFours];

  /// `first`: token of the slice. Past the last token the last one's.
  __device__ __forceinline__ void load(const ProductArgs& args, const Rows& rows, int first) {
    const int last = args.tokens - 1;
#pragma unroll
    for (int i = 0; i < Rows::kFours; ++i) {
      const int token = min(first + rows.token(i), last);
      if (Rows::kIsQuery || i == 0) factor[i].load(args, token);
      if constexpr (kRole != HeadRole::kValue) {
        rotation[i] = {1.0f, 0.0f, 1.0f, 0.0f};
        if (rows.dim(i) < args.heads.rope_dims) {
          const int64_t turn = static_cast<int64_t>(token) * args.heads.rope_dims + rows.dim(i);
          rotation[i] = load_four(args.heads.rope + turn);
        }
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

/// A thread's part of a slice; `slot`: of its token, of keys and values.
template <HeadRole kRole, bool kIsBf16>
__device__ __forceinline__ void write_head_slice(const ProductArgs& args,
                                                 const HeadRows<kRole>& rows,
                                                 const HeadExtras<kRole, kIsBf16>& extras,
                                                 const float* slice, int first, int slot) {
  using Rows = HeadRows<kRole>;
  const HeadsView& view = args.heads;
  uint32_t pairs[2 * Rows::kFours];
#pragma unroll
  for (int i = 0; i < Rows::kFours; ++i) {
    float4 x = extras.factor[Rows::kIsQuery ? i : 0].times_four(
        slice + rows.token(i) * kSliceStride + rows.in_strip(i));
    if (rows.task.bias != nullptr) {
      x = add(x, load_four(rows.task.bias + rows.row() + (Rows::kIsQuery ? 0 : 4 * i)));
    }
    if constexpr (kRole != HeadRole::kValue) x = rotated(x, extras.rotation[i]);
    const int token = first + rows.token(i);
    if constexpr (Rows::kIsQuery) {
      const int64_t at = static_cast<int64_t>(token) * rows.task.rows + rows.row();
      if (token < args.tokens) *reinterpret_cast<float4*>(rows.task.y + at) = x;
    } else {
      pairs[2 * i] = page_pair(args.bf16_pages, x.x, x.y);
      pairs[2 * i + 1] = page_pair(args.bf16_pages, x.z, x.w);
    }
  }
  if (Rows::kIsQuery || first + rows.token(0) >= args.tokens) return;
  constexpr bool kIsValue = kRole == HeadRole::kValue;
  const int head = rows.row() / view.head_dim + (kIsValue ? view.kv_heads : 0);
  const int place = slot % 64;
  std::byte* of_head = view.layer + slot / 64 * view.page_bytes + head * view.head_bytes;
  auto* to = reinterpret_cast<uint16_t*>(of_head);
  if constexpr (kIsValue) {
    auto* value = reinterpret_cast<uint4*>(to + place * view.head_dim + rows.dim(0));
    value[0] = {pairs[0], pairs[1], pairs[2], pairs[3]};
    value[1] = {pairs[4], pairs[5], pairs[6], pairs[7]};
  } else if constexpr (kRole == HeadRole::kKey) {
#pragma unroll
    for (int i = 0; i < Rows::kFours; ++i) {
      store_key_fours(view, to + place, rows.dim(i), pairs[2 * i], pairs[2 * i + 1]);
    }
  }
}

template <HeadRole kRole, int kTokens, bool kIsBf16, typename Sync>
__device__ __forceinline__ void write_head_rows(const ProductArgs& args, const Tile& strip,
                                                const float (&sums)[kTokens / 2], float* stage,
                                                Sync sync) {
  constexpr int kSlices = kTokens / kSliceTokens;
  const int thread = thread_index();
  const HeadRows<kRole> rows(args, strip, thread);
  int slots[kSlices] = {};
  if constexpr (kRole != HeadRole::kQuery) {
#pragma unroll
    for (int slice = 0; slice < kSlices; ++slice) {
      const int token = strip.token + slice * kSliceTokens + rows.token(0);
      slots[slice] = page_slot(args.heads, min(token, args.tokens - 1));
    }
  }
  HeadExtras<kRole, kIsBf16> extras;
  extras.load(args, rows, strip.token);
#pragma unroll
  for (int slice = 0; slice < kSlices; ++slice) {
    const int first = strip.token + slice * kSliceTokens;
    if (first >= args.tokens) return;
    float* const buffer = stage + slice % 2 * kSliceFloats;
    stage_slice<kTokens>(sums, slice, buffer, thread);
    sync();
    HeadExtras<kRole, kIsBf16> next;
    if (slice + 1 < kSlices) next.load(args, rows, first + kSliceTokens);
    if (rows.exist())
      write_head_slice<kRole, kIsBf16>(args, rows, extras, buffer, first, slots[slice]);
    extras = next;
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
