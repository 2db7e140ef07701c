#pragma once

/// What the kernels of encoder attention share.

#include "kernels/encoder_attention.h"
#include "kernels/op_context.h"

#include <cstdint>

namespace neuros::kernels::cuda {

/// Items of one launch; more take more launches.
inline constexpr int kEncoderItemsMax = 128;

/// Passed to kernels by value: EncoderAttentionArgs with some of its items.
struct EncoderView {
  const uint16_t* q = nullptr;
  const uint16_t* k = nullptr;
  const uint16_t* v = nullptr;
  uint16_t* out = nullptr;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;
  int32_t heads = 0;
  int32_t head_dim = 0;
  float scale = 1.0f;  ///< times log2(e): powers are powers of two
  int32_t items = 0;
  int32_t starts[kEncoderItemsMax + 1] = {};

  constexpr int32_t rows(int32_t item) const { return starts[item + 1] - starts[item]; }
};

/// A block's queries: some neighbouring rows of one item, of one head.
struct EncoderTile {
  int32_t item_row = 0;   ///< first row of the item; below 0: there is no such tile
  int32_t item_rows = 0;  ///< its rows
  int32_t first = 0;      ///< first query, in the item
  int32_t head = 0;

  /// Tile `index` of `tile_rows` queries: all tiles of a head follow one another, so that its keys
  /// and values stay in L2.
  static constexpr EncoderTile find(const EncoderView& view, int32_t index, int32_t tile_rows) {
    for (int32_t item = 0; item < view.items; ++item) {
      const int32_t rows = view.rows(item), blocks = (rows + tile_rows - 1) / tile_rows;
      if (index < blocks * view.heads) {
        return {view.starts[item], rows, index % blocks * tile_rows, index / blocks};
      }
      index -= blocks * view.heads;
    }
    return {-1, 0, 0, 0};
  }
  static int32_t count(const EncoderView& view, int32_t tile_rows) {
    int32_t blocks = 0;
    for (int32_t item = 0; item < view.items; ++item) {
      blocks += (view.rows(item) + tile_rows - 1) / tile_rows;
    }
    return blocks * view.heads;
  }
  constexpr bool exists() const { return item_row >= 0; }
};

/// By Hopper's instructions. False: not for this head size, these strides or GPU.
bool encoder_attention_wgmma(const OpContext& context, const EncoderView& view);
/// Any head size and strides, any GPU.
void encoder_attention_plain(const OpContext& context, const EncoderView& view);

}  // namespace neuros::kernels::cuda
