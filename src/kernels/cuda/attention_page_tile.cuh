#pragma once

/// A tile of decode attention whose keys and values come as boxes of whole pages (Hopper).

#include "kernels/cuda/attention_page_maps.h"
#include "kernels/cuda/attention_split.cuh"
#include "kernels/cuda/hopper.cuh"

namespace neuros::kernels::cuda {

/// Two pages' keys, then their values, of T in the swizzle of 128 bytes: of the 16-byte chunks of
/// 128 bytes, `row`, chunk c is where c ^ (row % 8) would be. Keys are as in the page,
/// [kHeadDim, 32], two dimensions a row; values [kHeadDim / 64][32][64 dimensions].
template <typename T, int kHeadDim>
class PageTile {
 public:
  static constexpr int kPages = kSplitTile / kMappedPageTokens;
  static constexpr int kRowBytes = 2 * kBoxColumns;
  static constexpr int kPageBytes = kHeadDim * kMappedPageTokens * 2;  ///< of keys or of values
  static constexpr int kBytes = 2 * kPages * kPageBytes;

  __device__ __forceinline__ explicit PageTile(std::byte* at) : at_(at) {}

  /// As in Tile.
  __device__ __forceinline__ const std::byte* key_block(int dimension, int position,
                                                        int lane) const {
    const int in_page = position % kMappedPageTokens;
    const int chunk = lane % 2 * 4 + in_page / 8 + lane / 16;
    const int row = dimension / 2 + lane % 16 / 2;  // row % 8 is the lane's part
    return at_ + position / kMappedPageTokens * kPageBytes + row * kRowBytes +
           (chunk ^ (lane % 16 / 2)) * 16;
  }
  __device__ __forceinline__ const std::byte* value_block(int position, int dimension,
                                                          int lane) const {
    const int chunk = dimension % kBoxColumns / 8 + lane / 16;
    return values_row(position, lane % 16, dimension) + (chunk ^ (lane % 8)) * 16;
  }

  /// Makes this warp's values zero from position `end` of the tile on: what lies behind the end of
  /// a row may be no number.
  __device__ __forceinline__ void clear_values(int position, int end) const {
    constexpr int kChunks = kRowBytes / 16;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (int row = max(0, end - position) + lane / kChunks; row < kGranule; row += 32 / kChunks) {
#pragma unroll
      for (int dimension = 0; dimension < kHeadDim; dimension += kBoxColumns) {
        std::byte* const to = values_row(position, row, dimension) + lane % kChunks * 16;
        *reinterpret_cast<uint4*>(to) = make_uint4(0, 0, 0, 0);
      }
    }
    __syncwarp();
  }

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  /// Starts the copies of a tile's two pages, kBytes for the barrier `full`, by a warp. A page of
  /// -1 comes as zeros.
  __device__ __forceinline__ void load(const PageMaps& maps, const int32_t (&pages)[kPages],
                                       int kv_head, int kv_heads, uint32_t full) const {
    constexpr int kBoxes = 1 + kHeadDim / kBoxColumns;  // of a page
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (lane >= kPages * kBoxes) return;
    const int of_page = lane / kBoxes, box = lane % kBoxes - 1;  // -1: the keys
    const int32_t page = of_page == 0 ? pages[0] : pages[1];
    const int32_t item = page < 0 ? -1 : page * maps.page_items + kv_head;
    const uint32_t to = hopper::shared_address(at_) + of_page * kPageBytes;
    if (box < 0) {
      hopper::copy_box(to, &maps.keys, 0, 0, item, full);
    } else {
      constexpr int kBoxBytes = kMappedPageTokens * kRowBytes;
      hopper::copy_box(to + kPages * kPageBytes + box * kBoxBytes, &maps.values, box * kBoxColumns,
                       0, page < 0 ? -1 : item + kv_heads, full);
    }
  }
#endif

 private:
  /// `position`: a multiple of 16; of the row `row` positions further on.
  __device__ __forceinline__ std::byte* values_row(int position, int row, int dimension) const {
    return at_ + (kPages + position / kMappedPageTokens) * kPageBytes +
           dimension / kBoxColumns * (kMappedPageTokens * kRowBytes) +
           (position % kMappedPageTokens + row) * kRowBytes;
  }

  std::byte* at_;
};

}  // namespace neuros::kernels::cuda
