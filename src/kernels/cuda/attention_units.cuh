#pragma once

/// What the blocks of decode attention (attention_decode.cu) work on, one after the other, and the
/// pages that it lies in.

#include "kernels/cuda/attention_results.cuh"

namespace neuros::kernels::cuda {

/// A split that a block works on, for some of the query heads of a KV head.
struct Unit {
  DecodeWork work;
  HeadPages pages;
  int32_t start = 0;    ///< its first position
  int32_t row_end = 0;  ///< of all splits
  int tiles = 0;        ///< none: there is no such unit
  int splits = 0;       ///< of its row
  int meeting = 0;      ///< where blocks that have splits of the row's heads meet
  /// Splits of the row's heads that this block has had with this one: 1 if queries are not those of
  /// the unit before.
  int run = 0;
  bool is_last = false;  ///< of them
};

/// The units of this block: of those of all sequences, heads and splits, in this order, a run as
/// long as any other block's, so that queries are mostly those of the unit before; and then, one by
/// one, of the last ones, which blocks take as they come to them: equal work takes some half as
/// long again as others. All lanes of a warp call it.
class UnitWalk {
 public:
  __device__ __forceinline__ UnitWalk(const AttentionView& view, const DecodePlan& plan)
      : view_(view), plan_(plan), heads_(view.kv_heads * plan.head_blocks) {
    int splits = 0;
#pragma unroll
    for (int i = 0; i < kKnown; ++i) splits += known_[i] = splits_of(32 * i + lane());
    for (int first = 32 * kKnown; first < plan.sequences; first += 32) {
      splits += splits_of(first + lane());
    }
    const int units = warp_sum(splits) * heads_;
    const int blocks = static_cast<int>(gridDim.x);
    pooled_ = units >= kPoolFrom * blocks ? units / kPooledPart : 0;
    dealt_ = units - pooled_;
    const auto end_of = [&](unsigned block) {
      return static_cast<int>(int64_t{dealt_} * block / blocks);
    };
    const int begin = end_of(blockIdx.x);
    left_ = end_of(blockIdx.x + 1) - begin;
    if (left_ > 0) find(begin);
  }

  /// The first one may be asked for before the launch may begin, the others not.
  __device__ __forceinline__ Unit next() {
    if (left_ == 0 && !take()) return {};
    --left_;
    Unit unit = current();
    unit.run = ++run_;
    unit.is_last = ++split_ == row_.splits || left_ == 0;
    if (split_ < row_.splits) return unit;
    split_ = 0;
    run_ = 0;
    if (++head_ < heads_) return unit;
    head_ = 0;
    ++sequence_;
    if (left_ > 0) row_ = RowRange(view_, sequence_);
    return unit;
  }

 private:
  static constexpr int kKnown = 2;
  /// Units of a block from which on some are not dealt out: one of so many.
  static constexpr int kPoolFrom = 6, kPooledPart = 16;

  static __device__ __forceinline__ int lane() {
    return static_cast<int>(threadIdx.x) % 32;
  }
  static __device__ __forceinline__ int warp_sum(int value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      value += __shfl_xor_sync(0xffffffffu, value, distance);
    }
    return value;
  }
  __device__ __forceinline__ int splits_of(int sequence) const {
    return sequence < plan_.sequences ? RowRange(view_, sequence).splits : 0;
  }

  /// To unit `index` of all: 32 sequences at a time.
  __device__ __forceinline__ void find(int index) {
    constexpr uint32_t kAll = 0xffffffffu;
    for (int first = 0;; first += 32) {
      static_assert(kKnown == 2);
      const int splits = first == 0    ? known_[0]
                         : first == 32 ? known_[1]
                                       : splits_of(first + lane());
      int end = splits * heads_;  // of the lane's units
#pragma unroll
      for (int distance = 1; distance < 32; distance *= 2) {
        const int before = __shfl_up_sync(kAll, end, distance);
        if (lane() >= distance) end += before;
      }
      const uint32_t later = __ballot_sync(kAll, index < end);
      if (later == 0) {
        index -= __shfl_sync(kAll, end, 31);
        continue;
      }
      const int of = __ffs(static_cast<int>(later)) - 1;
      index -= __shfl_sync(kAll, end - splits * heads_, of);
      sequence_ = first + of;
      row_ = RowRange(view_, sequence_);
      head_ = index / row_.splits;
      split_ = index - head_ * row_.splits;
      return;
    }
  }

  /// Another unit of those that were not dealt out; false: there is none. Each block comes once too
  /// often, and the last of these leaves the count as it was.
  __device__ __forceinline__ bool take() {
    if (pooled_ == 0) return false;
    uint32_t before = 0;
    if (lane() == 0) before = atomicAdd(plan_.units_taken, 1u);
    const int taken = static_cast<int>(__shfl_sync(0xffffffffu, before, 0));
    if (taken >= pooled_) {
      const bool is_last = taken - pooled_ + 1 == static_cast<int>(gridDim.x);
      if (is_last && lane() == 0) *plan_.units_taken = 0;
      pooled_ = 0;
      return false;
    }
    find(dealt_ + taken);
    left_ = 1;
    run_ = 0;
    return true;
  }

  __device__ __forceinline__ Unit current() const {
    const int kv_head = plan_.head_blocks == 1 ? head_ : head_ / plan_.head_blocks;
    const int in_group = (head_ - kv_head * plan_.head_blocks) * kBlockHeads;
    Unit unit{.work = {.sequence = sequence_,
                       .split = split_,
                       .kv_head = kv_head,
                       .first_head = kv_head * view_.group + in_group,
                       .heads = min(kBlockHeads, view_.group - in_group)},
              .pages = pages_of(view_, sequence_, kv_head),
              .start = row_.begin + split_ * row_.split,
              .row_end = row_.end,
              .splits = row_.splits,
              .meeting = sequence_ * heads_ + head_};
    unit.pages.first = row_.first;
    unit.pages.end = min(row_.end, unit.start + row_.split);
    unit.tiles = (unit.pages.end - unit.start + kSplitTile - 1) / kSplitTile;
    return unit;
  }

  const AttentionView& view_;
  const DecodePlan& plan_;
  const int heads_;     ///< head blocks of a sequence
  int known_[kKnown];   ///< splits of sequence `lane`, and of the one 32 further on
  int dealt_, pooled_;  ///< units of all; 0 of the latter once all are taken
  int left_ = 0;        ///< units of this block from here on
  int sequence_ = 0, head_ = 0, split_ = 0;
  RowRange row_;
  int run_ = 0;
};

/// Pages of a sequence as the lanes of a warp remember them, 32 at a time: a tile's pages are known
/// at once.
class KnownPages {
 public:
  __device__ __forceinline__ explicit KnownPages(const AttentionView& view)
      : inverse_(view.page_inverse) {}

  /// Of positions [start, start + kSplitTile), of which the unit's row has the first at least.
  __device__ __forceinline__ void learn(const Unit& unit, int32_t start) {
    const HeadPages& from = unit.pages;
    const int32_t first = in_order(start), last = in_order(start + kSplitTile - 1);
    keys = from.keys;
    if (from.pages == pages_ && first >= first_ && last < first_ + 32) return;
    pages_ = from.pages;
    first_ = first;
    const int32_t own = first + static_cast<int32_t>(threadIdx.x) % 32;
    page_ = own <= in_order(unit.row_end - 1) ? pages_[own] : kNone;
  }
  /// Of a position, by all lanes; kNone: the row has no such page.
  __device__ __forceinline__ int32_t page(int32_t position) const {
    return __shfl_sync(0xffffffffu, page_, in_order(position) - first_);
  }
  /// HeadPages::find() by all lanes.
  __device__ __forceinline__ PagePlace find(const AttentionView& view, int32_t position) const {
    const int32_t order = in_order(position);
    return {__shfl_sync(0xffffffffu, page_, order - first_), position - order * view.page_tokens};
  }

  static constexpr int32_t kNone = -1;
  const std::byte* keys = nullptr;
  static constexpr int32_t first = 0, end = 0;  ///< not asked for: all positions exist

 private:
  __device__ __forceinline__ int32_t in_order(int32_t position) const {
    return static_cast<int32_t>(__umulhi(static_cast<uint32_t>(position), inverse_));
  }

  const uint32_t inverse_;
  const int32_t* pages_ = nullptr;
  int32_t first_ = 0;  ///< page, in the sequence's order, of lane 0
  int32_t page_ = 0;
};

}  // namespace neuros::kernels::cuda
