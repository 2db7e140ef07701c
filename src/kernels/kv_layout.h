#pragma once

#include "base/dtype.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels {

/// Paged keys and values of one model. A page holds `page_tokens` consecutive positions of one
/// sequence for all layers, so that one page is one copy when a process is swapped:
/// page = layers x { K: [kv_heads, head_dim, page_tokens], V: [kv_heads, page_tokens, head_dim] }.
/// Keys lie transposed: the scores of a page's positions are then sums over whole vectors, element
/// by element, with no horizontal additions.
struct KvLayout {
  base::DType dtype = base::DType::kF16;  ///< kF16, kBF16 or kF32
  int32_t page_tokens = 32;               ///< a multiple of 16, at most 64
  int32_t layers = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;

  int64_t head_bytes() const {
    return base::bytes_of(dtype, static_cast<int64_t>(page_tokens) * head_dim);
  }
  /// Where element i of the key, or of the value, at place t of a page lies within its head.
  int64_t key_index(int32_t t, int32_t i) const {
    return static_cast<int64_t>(i) * page_tokens + t;
  }
  int64_t value_index(int32_t t, int32_t i) const { return static_cast<int64_t>(t) * head_dim + i; }
  int64_t layer_bytes() const { return 2 * kv_heads * head_bytes(); }
  int64_t page_bytes() const { return layers * layer_bytes(); }
};

/// The pages of a device: page p starts at arena + p * layout.page_bytes().
struct KvCache {
  KvLayout layout;
  std::byte* arena = nullptr;

  /// K of (page, layer, head): [head_dim, page_tokens]
  std::byte* keys(int32_t page, int32_t layer, int32_t head) const {
    return arena + page * layout.page_bytes() + layer * layout.layer_bytes() +
           head * layout.head_bytes();
  }
  /// V of the same: [page_tokens, head_dim]
  std::byte* values(int32_t page, int32_t layer, int32_t head) const {
    return keys(page, layer, head) + layout.kv_heads * layout.head_bytes();
  }
};

/// One sequence's part of a batch: rows [first_row, first_row + rows) of the activations are its
/// positions [first_position, first_position + rows). `pages` lists its page numbers by
/// position / page_tokens and covers all positions up to the last.
struct SequenceSlice {
  int32_t first_row = 0;
  int32_t rows = 0;
  int32_t first_position = 0;
  std::span<const int32_t> pages;
  bool decodes = false;  ///< one generated token, not part of a prompt (OpTable)
};

}  // namespace neuros::kernels
