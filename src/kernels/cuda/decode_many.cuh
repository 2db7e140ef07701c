#pragma once

/// Decode steps of many sequences on Hopper with quantised weights: up to 64 tokens for one reading
/// of the weights. Same float operations in the same order as decode_kernel.cuh, so the same bits.
/// 16-bit weights: many_halves.cuh.
///
/// A cluster of four blocks takes tiles of up to 8 panels, one after another; a block has one
/// quarter of the columns. Weights go through a ring of each warp (weight_ring.cuh), read once;
/// activations come in pieces that all panels of a tile share (piece_stream.cuh) and, where a
/// quarter of them fits, stay in shared memory for all tiles. At the end of a tile every block has
/// the sums of its quarter in shared memory; each adds a fourth of them over the four blocks, warps
/// of the same panel by themselves. Eight warps have one panel each, and go through the groups of
/// the quarter in order.
///
/// Bound by instructions: 13 to 17 for each matrix instruction of 32 columns by 8 tokens, which
/// four schedulers issue in 4 clocks, where memory (18 bytes a clock and multiprocessor) gives
/// weights for one in 4 (q8_0) or 2 (q4_k) clocks.

#include "base/check.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/many_products.cuh"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/piece_stream.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/weight_ring.cuh"

#include <algorithm>
#include <type_traits>

namespace neuros::kernels::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The sums of a block's quarter: of each panel and tile of tokens what the lanes of a warp hold,
/// four floats each. A warp waits for those in the other blocks of the cluster that have the same
/// panel and for no others: they drift apart, so that some read weights while others add.
template <typename Product>
class QuarterSums {
 public:
  __device__ QuarterSums(const ManyParameters& p, std::byte* shared, int place)
      : p_(p),
        shared_(reinterpret_cast<float4*>(shared + ManyShared::kSums)),
        barriers_(barriers_of(shared, place)),
        place_(place) {}

  /// By one thread, before a barrier of the cluster.
  static __device__ void init(std::byte* shared) {
    for (int place = 0; place < kManyTilePanels; ++place) {
      const uint32_t barriers = barriers_of(shared, place);
      hopper::init_barrier(barriers + kComplete, kManyBlocks);
      hopper::init_barrier(barriers + kRead, kManyBlocks);
    }
  }

  /// Leaves the warp's sums of tile `index`.
  __device__ __forceinline__ void put(const Product& product, int index) {
    if (index > 0) hopper::wait_for_blocks(barriers_ + kRead, (index - 1) % 2);
#pragma unroll
    for (int tile = 0; tile < kManyTiles; ++tile) {
      if (tile >= p_.token_tiles) break;
      shared_[at(tile, threadIdx.x % kLanes)] = make_float4(
          product.sum(tile, 0), product.sum(tile, 1), product.sum(tile, 2), product.sum(tile, 3));
    }
    tell_blocks(kComplete);
  }

  /// Adds the quarters of this block's share of the panel's sums, and stores the results.
  __device__ __forceinline__ void finish(const RowTile& tile, int index) {
    hopper::wait_for_blocks(barriers_ + kComplete, index % 2);
    const int rank = static_cast<int>(hopper::block_in_cluster());
#pragma unroll
    for (int i = 0; i < kShares; ++i) {
      const int token_tile = i * kManyBlocks + rank;
      if (token_tile >= p_.token_tiles) break;
      finish_lane(tile, i, token_tile, threadIdx.x % kLanes);
    }
    tell_blocks(kRead);
  }

 private:
  static constexpr int kShares = kManyTiles / kManyBlocks;  ///< of a thread
  // Barriers of a panel, in bytes: all blocks have their sums; all have read them.
  static constexpr uint32_t kComplete = 0, kRead = 8;

  static __device__ uint32_t barriers_of(std::byte* shared, int place) {
    return hopper::shared_address(shared + ManyShared::kSumBarriers) +
           static_cast<uint32_t>(place) * 16;
  }
  __device__ int at(int tile, int lane) const {
    return (place_ * kManyTiles + tile) * kLanes + lane;
  }

  __device__ __forceinline__ void tell_blocks(uint32_t what) const {
    __syncwarp();
    const auto lane = static_cast<uint32_t>(threadIdx.x % kLanes);
    if (lane < kManyBlocks) hopper::publish_to_block(barriers_ + what, lane);
  }

  __device__ __forceinline__ void finish_lane(const RowTile& tile, int share, int token_tile,
                                              int lane) {
    float quarters[kManyBlocks][4];
#pragma unroll
    for (uint32_t block = 0; block < kManyBlocks; ++block) {
      const float4 sums =
          hopper::load_from_block(hopper::shared_address(shared_ + at(token_tile, lane)), block);
      quarters[block][0] = sums.x, quarters[block][1] = sums.y;
      quarters[block][2] = sums.z, quarters[block][3] = sums.w;
    }
    const TaskPanel place = task_panel(p_.of, tile.pass, tile.first_panel + place_);
    const DecodeTask& task = p_.of.tasks[place.task];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float sum = __fadd_rn(__fadd_rn(quarters[0][k], quarters[1][k]),
                                  __fadd_rn(quarters[2][k], quarters[3][k]));
      const int token = token_tile * kTileTokens + lane % 4 * 2 + k % 2;
      const int row = place.panel * kPanelRows + lane / 4 + k / 2 * 8;
      if (token >= p_.of.tokens || row >= task.rows) continue;
      float& gate = gates_[share][k];
      if (p_.of.passes == 2 && tile.pass == 0) {
        gate = sum;
      } else {
        cuda::finish(p_.of, task, row, token, sum, gate);
      }
    }
  }

  const ManyParameters& p_;
  float4* shared_;
  uint32_t barriers_;
  int place_;
  float gates_[kShares][4]{};
};

/// What a warp works on, tile after tile.
struct ManyWarp {
  int quarter;
  int place;                   ///< of its panel in a tile
  int first_group, end_group;  ///< of the quarter

  __device__ explicit ManyWarp(const ManyParameters& p)
      : quarter(static_cast<int>(hopper::block_in_cluster())),
        place(static_cast<int>(threadIdx.x) / kLanes),
        first_group(p.columns.first_group(quarter)),
        end_group(p.columns.first_group(quarter + 1)) {}

  __device__ int first_chunk(const ManyParameters& p) const { return p.columns.first(first_group); }
  __device__ int end_chunk(const ManyParameters& p) const { return p.columns.first(end_group); }

  template <typename Product>
  __device__ StreamPlace pieces(const ManyParameters& p, std::byte* shared) const {
    const int first = first_chunk(p) * Product::kShape.chunk_pieces;
    const int end = end_chunk(p) * Product::kShape.chunk_pieces;
    const int64_t bytes = p.shared.piece_bytes;
    return {.from = p.of.prepared.values + first * bytes,
            .slots = shared + p.shared.pieces,
            .barriers = hopper::shared_address(shared + ManyShared::kBarriers),
            .slot_count = p.shared.slots,
            .piece_bytes = p.shared.piece_bytes,
            .pieces = end - first,
            .tiles = tile_count(p)};
  }
};

/// A tile's products by one warp.
template <typename Product, typename Ring, typename Count>
__device__ __forceinline__ void multiply_tile(const ManyParameters& p, const ManyWarp& warp,
                                              Ring& ring, PieceStream& stream, Product& product,
                                              Count tiles) {
#pragma unroll 1
  for (int group = warp.first_group; group < warp.end_group; ++group) {
    const int end = p.columns.first(group + 1);
#pragma unroll 1
    for (int chunk = p.columns.first(group); chunk < end; ++chunk) {
      product.multiply(ring, stream, tiles);
    }
    product.end_group();
  }
}

/// Goes along with the stream where a tile has no panel for this warp.
template <typename Product>
__device__ __forceinline__ void skip_tile(const ManyParameters& p, const ManyWarp& warp,
                                          PieceStream& stream) {
  const int chunks = warp.end_chunk(p) - warp.first_chunk(p);
  for (int piece = 0; piece < chunks * Product::kShape.chunk_pieces; ++piece) {
    stream.take();
    stream.release();
  }
}

/// All tiles, from when activations may be read.
template <typename Product, typename Ring>
__device__ __forceinline__ void multiply_tiles(const ManyParameters& p, const ManyWarp& warp,
                                               Ring& ring, PieceStream& stream, std::byte* shared) {
  QuarterSums<Product> sums(p, shared, warp.place);
  stream.start();
  for (int index = 0;; ++index) {
    const RowTile tile = tile_at(p, index);
    if (tile.panels == 0) break;
    if (warp.place >= tile.panels) {
      skip_tile<Product>(p, warp, stream);
      continue;
    }
    Product product;
    product.clear();
    if (p.token_tiles == kManyTiles) {  // no tile to leave out: loads go ahead of products
      multiply_tile(p, warp, ring, stream, product, std::integral_constant<int, kManyTiles>());
    } else {
      multiply_tile(p, warp, ring, stream, product, p.token_tiles);
    }
    sums.put(product, index);
    sums.finish(tile, index);
  }
  hopper::sync_cluster();  // no block ends while others read its sums or arrive at its barriers
}

#endif

inline constexpr int kManyThreads = kManyTilePanels * kLanes;

template <typename Product>
__global__ void __launch_bounds__(kManyThreads, 1)
    decode_many_kernel(const __grid_constant__ ManyParameters p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Walk = PanelWalk<Product::Chunk::kBytes>;
  extern __shared__ uint4 dynamic_shared[];
  auto* const shared = reinterpret_cast<std::byte*>(dynamic_shared);
  const ManyWarp warp(p);
  WeightRing<Product::Chunk::kBytes, Walk, Product::kRingSlots> ring(
      shared + ManyShared::kRings + warp.place * Product::kShape.ring_bytes,
      Walk(p, warp.place, warp.first_chunk(p), warp.end_chunk(p)));
  let_next_start();
  ring.fill();
  const StreamPlace pieces = warp.pieces<Product>(p, shared);
  if (threadIdx.x == 0) {
    PieceStream::init(pieces, kManyTilePanels);
    QuarterSums<Product>::init(shared);
    hopper::publish_barriers();
  }
  hopper::sync_cluster();
  wait_for_previous();
  hopper::order_bulk_reads();
  PieceStream stream(pieces, warp.place == 0);
  multiply_tiles<Product>(p, warp, ring, stream, shared);
#endif
}

template <typename Product>
void launch_many(const OpContext& context, const DecodeParameters& of, int chosen_panels) {
  static Residency residency;
  constexpr auto kKernel = decode_many_kernel<Product>;
  constexpr ManyShape kShape = Product::kShape;
  constexpr int64_t kChunkBytes = Product::Chunk::kBytes;
  ManyParameters p;
  p.of = of;
  p.columns = {.chunks = static_cast<int>((of.panel_bytes + kChunkBytes - 1) / kChunkBytes),
               .groups = column_groups(of.columns)};
  const int shared_max = device_traits().shared_bytes_max;
  p.shared = many_shared(kShape, p.columns, of.prepared.piece_bytes, shared_max);
  const int pieces = quarter_chunks_max(p.columns) * kShape.chunk_pieces;
  CHECK(p.shared.slots >= std::min(pieces, 2) && p.shared.end <= shared_max);
  p.token_tiles = token_tiles(of.tokens);
  const int clusters = residency.clusters(reinterpret_cast<const void*>(kKernel), kManyThreads,
                                          shared_max, kManyBlocks);
  p.tile_panels = chosen_panels > 0 ? std::min(chosen_panels, kManyTilePanels)
                                    : tile_panels(of.panels, clusters);
  p.tiles = (of.panels + p.tile_panels - 1) / p.tile_panels;
  launch(context,
         {.grid = dim3(static_cast<unsigned>(std::min(clusters, p.tiles) * kManyBlocks)),
          .block = dim3(kManyThreads),
          .shared_bytes = static_cast<size_t>(p.shared.end),
          .cluster = kManyBlocks},
         kKernel, p);
}

}  // namespace neuros::kernels::cuda
