#pragma once

/// Decode steps of many sequences on Hopper: up to 64 tokens for one reading of the weights. Same
/// float operations in the same order as decode_kernel.cuh, so the same bits.
///
/// A cluster of four blocks takes tiles of up to 8 panels, one after another; a block has one
/// quarter of the columns. Weights go through a ring of each warp (weight_ring.cuh), read once;
/// activations come in pieces that all panels of a tile share (piece_stream.cuh) and, where a
/// quarter of them fits, stay in shared memory for all tiles. At the end of a tile every block has
/// the sums of its quarter in shared memory; each adds a fourth of them over the four blocks, warps
/// of the same panels by themselves.
///
/// 16-bit floats: 16 warps, two panels and one column group each; the warps of a pair of panels add
/// their sums one after another, in the order of the groups. Quantised types: 8 warps, one panel
/// each, through the groups of the quarter in order.
///
/// Budget, a clock of one multiprocessor, for 64 tokens and weights at the speed of memory (18
/// bytes a clock). bf16: 0.28 matrix instructions, half of what can be issued; 81 of 128 bytes of
/// shared memory (weights in and out 36, operands of activations 36, the rest their copies).
/// Quantised types are bound by instructions: 13 to 17 for each matrix instruction of 32 columns,
/// which four schedulers issue in 4, where memory gives weights for one in 4 (q8_0) or 2 (q4_k)
/// clocks.

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
/// four floats each. The warps of a place, which have the same panels, wait for their like in the
/// other blocks of the cluster and for no others: places drift apart, so that some read weights
/// while others add.
template <typename Product>
class QuarterSums {
 public:
  __device__ QuarterSums(const ManyParameters& p, std::byte* shared, int place, int stream)
      : p_(p),
        shared_(reinterpret_cast<float4*>(shared + ManyShared::kSums)),
        barriers_(barriers_of(shared, place)),
        place_(place),
        stream_(stream) {}

  /// By one thread, before a barrier of the cluster.
  static __device__ void init(std::byte* shared) {
    for (int place = 0; place < kPlaces; ++place) {
      const uint32_t barriers = barriers_of(shared, place);
      hopper::init_barrier(barriers + kComplete, kManyBlocks);
      hopper::init_barrier(barriers + kRead, kManyBlocks * kStreams);
    }
  }

  /// Adds a warp's sums of tile `index`, streams one after another. All warps of the place call it.
  __device__ __forceinline__ void add(const Product& product, int index) {
    if (stream_ > 0) {
      hopper::sync_threads<2 * kLanes>(turn(stream_));
    } else if (index > 0) {
      hopper::wait_for_blocks(barriers_ + kRead, (index - 1) % 2);
    }
#pragma unroll
    for (int panel = 0; panel < kPanels; ++panel) {
#pragma unroll
      for (int tile = 0; tile < kManyTiles; ++tile) {
        if (tile >= p_.token_tiles) break;
        float4& sums = shared_[at(panel, tile, threadIdx.x % kLanes)];
        const float4 before = stream_ > 0 ? sums : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        sums = make_float4(__fadd_rn(before.x, product.sum(panel, tile, 0)),
                           __fadd_rn(before.y, product.sum(panel, tile, 1)),
                           __fadd_rn(before.z, product.sum(panel, tile, 2)),
                           __fadd_rn(before.w, product.sum(panel, tile, 3)));
      }
    }
    if (stream_ + 1 < kStreams) {
      hopper::arrive_threads<2 * kLanes>(turn(stream_ + 1));
    } else {
      tell_blocks(kComplete);
    }
  }

  /// Adds the quarters of this block's share of the place's sums, and stores the results.
  __device__ __forceinline__ void finish(const RowTile& tile, int index) {
    hopper::wait_for_blocks(barriers_ + kComplete, index % 2);
    const int rank = static_cast<int>(hopper::block_in_cluster());
#pragma unroll
    for (int i = 0; i < kShares; ++i) {
      const int part = (i * kManyBlocks + rank) * kStreams + stream_;
      const int panel = part / p_.token_tiles;
      if (panel >= kPanels || place_ * kPanels + panel >= tile.panels) continue;
      finish_lane(tile, i, panel, part % p_.token_tiles, threadIdx.x % kLanes);
    }
    tell_blocks(kRead);
  }

 private:
  static constexpr int kPanels = Product::kShape.warp_panels;
  static constexpr int kStreams = Product::kShape.streams;
  static constexpr int kPlaces = Product::kShape.warps / kStreams;
  static constexpr int kShares = kPanels * kManyTiles / (kManyBlocks * kStreams);  ///< of a thread
  static_assert(kPlaces * kPanels == kManyTilePanels);
  // Barriers of a place, in bytes: all blocks have their sums; all have read them.
  static constexpr uint32_t kComplete = 0, kRead = 8;

  static __device__ uint32_t barriers_of(std::byte* shared, int place) {
    return hopper::shared_address(shared + ManyShared::kSumBarriers) +
           static_cast<uint32_t>(place) * 16;
  }
  __device__ int at(int panel, int tile, int lane) const {
    return ((place_ * kPanels + panel) * kManyTiles + tile) * kLanes + lane;
  }
  /// The barrier of the place's warps of streams `stream` - 1 and `stream`.
  __device__ int turn(int stream) const {
    return place_ * (kStreams - 1) + stream;
  }

  __device__ __forceinline__ void tell_blocks(uint32_t what) const {
    __syncwarp();
    const auto lane = static_cast<uint32_t>(threadIdx.x % kLanes);
    if (lane < kManyBlocks) hopper::publish_to_block(barriers_ + what, lane);
  }

  __device__ __forceinline__ void finish_lane(const RowTile& tile, int share, int panel,
                                              int token_tile, int lane) {
    float quarters[kManyBlocks][4];
#pragma unroll
    for (uint32_t block = 0; block < kManyBlocks; ++block) {
      const float4 sums = hopper::load_from_block(
          hopper::shared_address(shared_ + at(panel, token_tile, lane)), block);
      quarters[block][0] = sums.x, quarters[block][1] = sums.y;
      quarters[block][2] = sums.z, quarters[block][3] = sums.w;
    }
    const TaskPanel place =
        task_panel(p_.of, tile.pass, tile.first_panel + place_ * kPanels + panel);
    const DecodeTask& task = p_.of.tasks[place.task];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      float sum = __fadd_rn(__fadd_rn(quarters[0][k], quarters[1][k]),
                            __fadd_rn(quarters[2][k], quarters[3][k]));
      const int token = token_tile * kTileTokens + lane % 4 * 2 + k % 2;
      const int row = place.panel * kPanelRows + lane / 4 + k / 2 * 8;
      if (token >= p_.of.tokens || row >= task.rows) continue;
      if (Product::Chunk::kKind == ActivationKind::kF16) {
        sum = __fmul_rn(sum, __ldcg(p_.of.prepared.scales + token));
      }
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
  int place_, stream_;
  float gates_[kShares][4]{};
};

/// What a warp works on, tile after tile.
template <typename Product>
struct ManyWarp {
  static constexpr ManyShape kShape = Product::kShape;

  int quarter, stream, place;  ///< panels place * warp_panels and so on of a tile
  GroupRange groups;
  int first_unit, last_unit;

  __device__ explicit ManyWarp(const ManyParameters& p)
      : quarter(static_cast<int>(hopper::block_in_cluster())),
        stream(static_cast<int>(threadIdx.x) / kLanes % kShape.streams),
        place(static_cast<int>(threadIdx.x) / kLanes / kShape.streams),
        groups(stream_groups(p.columns, quarter, stream, kShape.streams)),
        first_unit(p.columns.first(groups.first) * Product::kUnits),
        last_unit(min(p.columns.first(groups.end) * Product::kUnits,
                      Product::unit_count(p.of.columns))) {}

  /// Whether it has panels of a tile.
  __device__ bool works(const RowTile& tile) const {
    return place * kShape.warp_panels < tile.panels;
  }
  __device__ StreamPlace pieces(const ManyParameters& p, std::byte* shared, int of_stream) const {
    const GroupRange range = stream_groups(p.columns, quarter, of_stream, kShape.streams);
    const int first = p.columns.first(range.first) * kShape.chunk_pieces;
    const int end = p.columns.first(range.end) * kShape.chunk_pieces;
    const int64_t bytes = p.shared.piece_bytes;
    return {.from = p.of.prepared.values + first * bytes,
            .slots = shared + p.shared.pieces + of_stream * p.shared.slots * bytes,
            .barriers = hopper::shared_address(shared + ManyShared::kBarriers) +
                        static_cast<uint32_t>(of_stream * p.shared.slots) * 16,
            .slot_count = p.shared.slots,
            .piece_bytes = p.shared.piece_bytes,
            .pieces = end - first,
            .tiles = tile_count(p)};
  }
};

/// A tile's products by one warp.
template <typename Product, typename Ring, typename Count>
__device__ __forceinline__ void multiply_tile(const ManyParameters& p,
                                              const ManyWarp<Product>& warp, Ring& ring,
                                              PieceStream& stream, Product& product, Count tiles) {
#pragma unroll 1
  for (int group = warp.groups.first; group < warp.groups.end; ++group) {
    const int end = p.columns.first(group + 1);
#pragma unroll 1
    for (int chunk = p.columns.first(group); chunk < end; ++chunk) {
      const int units = min(Product::kUnits, warp.last_unit - chunk * Product::kUnits);
      product.multiply(ring, stream, units, tiles);
    }
    product.end_group();
  }
}

template <typename Product>
__device__ __forceinline__ void skip_tile(const ManyParameters& p, const ManyWarp<Product>& warp,
                                          PieceStream& stream) {
  const int chunks = p.columns.first(warp.groups.end) - p.columns.first(warp.groups.first);
  for (int piece = 0; piece < chunks * Product::kShape.chunk_pieces; ++piece) {
    stream.take();
    stream.release();
  }
}

/// All tiles, from when activations may be read.
template <typename Product, typename Ring>
__device__ __forceinline__ void multiply_tiles(const ManyParameters& p,
                                               const ManyWarp<Product>& warp, Ring& ring,
                                               PieceStream& stream, std::byte* shared) {
  QuarterSums<Product> sums(p, shared, warp.place, warp.stream);
  stream.start();
  for (int index = 0;; ++index) {
    const RowTile tile = tile_at(p, index);
    if (tile.panels == 0) break;
    if (!warp.works(tile)) {
      skip_tile(p, warp, stream);
      continue;
    }
    Product product;
    product.clear();
    if (p.token_tiles == kManyTiles) {  // no tile to leave out: loads go ahead of products
      multiply_tile(p, warp, ring, stream, product, std::integral_constant<int, kManyTiles>());
    } else {
      multiply_tile(p, warp, ring, stream, product, p.token_tiles);
    }
    sums.add(product, index);
    sums.finish(tile, index);
  }
  hopper::sync_cluster();  // no block ends while others read its sums or arrive at its barriers
}

#endif

template <typename Product>
__global__ void __launch_bounds__(Product::kShape.warps* kLanes, 1)
    decode_many_kernel(const __grid_constant__ ManyParameters p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr ManyShape kShape = Product::kShape;
  using Walk = PanelWalk<Product>;
  extern __shared__ uint4 dynamic_shared[];
  auto* const shared = reinterpret_cast<std::byte*>(dynamic_shared);
  const ManyWarp<Product> warp(p);
  const auto index = static_cast<int>(threadIdx.x) / kLanes;
  WeightRing<Product::kUnitBytes, Walk, Product::kRingSlots, kShape.warp_panels> ring(
      shared + ManyShared::kRings + index * kShape.ring_bytes,
      Walk(p, warp.place * kShape.warp_panels, warp.first_unit, warp.last_unit));
  let_next_start();
  ring.fill();
  if (threadIdx.x < kShape.streams) {
    PieceStream::init(warp.pieces(p, shared, static_cast<int>(threadIdx.x)),
                      kShape.warps / kShape.streams);
    if (threadIdx.x == 0) QuarterSums<Product>::init(shared);
    hopper::publish_barriers();
  }
  hopper::sync_cluster();
  wait_for_previous();
  hopper::order_bulk_reads();
  PieceStream stream(warp.pieces(p, shared, warp.stream), warp.place == 0);
  multiply_tiles(p, warp, ring, stream, shared);
#endif
}

template <typename Product>
void launch_many(const OpContext& context, const DecodeParameters& of, int chosen_panels) {
  static Residency residency;
  constexpr auto kKernel = decode_many_kernel<Product>;
  constexpr ManyShape kShape = Product::kShape;
  constexpr int kThreads = kShape.warps * kLanes;
  ManyParameters p;
  p.of = of;
  const int64_t chunk_bytes = Product::kUnits * Product::kUnitBytes;
  p.columns = {.chunks = static_cast<int>((of.panel_bytes + chunk_bytes - 1) / chunk_bytes),
               .groups = column_groups(of.columns)};
  const int shared_max = device_traits().shared_bytes_max;
  p.shared = many_shared(kShape, p.columns, of.prepared.piece_bytes, shared_max);
  const int pieces = stream_chunks_max(p.columns, kShape.streams) * kShape.chunk_pieces;
  CHECK(p.shared.slots >= std::min(pieces, 2) && p.shared.end <= shared_max);
  p.token_tiles = token_tiles(of.tokens);
  const int clusters =
      residency.clusters(reinterpret_cast<const void*>(kKernel), kThreads, shared_max, kManyBlocks);
  p.tile_panels = chosen_panels > 0 ? std::min(chosen_panels, kManyTilePanels)
                                    : tile_panels(of.panels, clusters, kShape.equal_panels);
  p.tiles = (of.panels + p.tile_panels - 1) / p.tile_panels;
  launch(context,
         {.grid = dim3(static_cast<unsigned>(std::min(clusters, p.tiles) * kManyBlocks)),
          .block = dim3(kThreads),
          .shared_bytes = static_cast<size_t>(p.shared.end),
          .cluster = kManyBlocks},
         kKernel, p);
}

}  // namespace neuros::kernels::cuda
