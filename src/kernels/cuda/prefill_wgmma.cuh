#pragma once

/// Products of prompt rows with quantised weights on Hopper. A block is two warpgroups that
/// multiply and one whose first warp feeds them. Each multiplying warpgroup computes 64 weight rows
/// x kTokens tokens by wgmma, weights from registers, tokens from shared memory. Two rings in
/// shared memory are filled by bulk copies: column blocks of the tokens, and chunks of the weights
/// as they are packed, which warps expand for the next step of 32 columns while the tensor cores
/// work on this one. (Weights further on asked to L2 made the copies slower than they are without;
/// loads of weights to registers, well ahead of their use, were moved next to it by the compiler,
/// and waited for.) Blocks stay and take tiles in turn.
///
/// Tiles of 256 tokens are computed by pairs of blocks, a cluster, one above the other: each copies
/// half of the tokens to both, so that L2 gives them once. So that a last round of tiles that would
/// leave half of the multiprocessors idle takes half as long, its tiles have half as many tokens.
///
/// Bounds, for 128 rows x 256 tokens x 16 columns: 0.5 M FMA at 2048 a cycle: 256 cycles. Shared
/// memory: each warpgroup reads the tokens, 2 x 8 KiB, 8 KiB are written; of 16-bit weights 4 KiB
/// are written and read: 32 KiB, 256 cycles at 128 B, of 4-bit ones 26 KiB. L2: 4 KiB of tokens
/// and 4 KiB of 16-bit (1.1 of 4-bit) weights, 32 (20) B a cycle and multiprocessor; without the
/// cluster 48 (36), and cards were measured at about 30. Instructions: about 25 for 8 quantised
/// weights a lane, two warps a scheduler: 50 of 256 cycles. So the tensor cores set the time, but
/// for a tile's first column blocks and its writing.

#include "kernels/cuda/dequantise_fragment.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_ring.cuh"
#include "kernels/cuda/prefill_tile.cuh"
#include "kernels/cuda/ring_place.cuh"

#include <algorithm>
#include <type_traits>

namespace neuros::kernels::cuda::prefill {

inline constexpr int kWgmmaThreads = kTileThreads + 128;
/// The registers of 384 threads x 168, dealt again: 256 x 232 + 128 x 40.
inline constexpr int kMultiplyRegisters = 232;
inline constexpr int kFeedRegisters = 40;

/// Shared memory: the ring of the tokens, the slices of write_tile(), the ring of the weights, two
/// barriers for each place in the rings.
template <int kTokens, int kChunkBytes>
struct WgmmaShared {
  static constexpr int kAlignment = 1024;  // of the swizzle
  static constexpr int kMost = 227 * 1024 - kAlignment;
  static constexpr int kCluster = wgmma_cluster(kTokens);
  static constexpr int kStages = kTokens == kWgmmaTokensMax ? 4 : 8;
  static constexpr int kBlockBytes = kTokens * kBlockRowBytes;
  static constexpr int kSlices = kStages * kBlockBytes;
  static constexpr int kWeights = kSlices + kStageBytes;
  static constexpr int kWeightBytes = kTilePanels * kChunkBytes;
  static constexpr int kWeightRoom = kMost - kWeights - 16 * (kStages + 4);
  static constexpr int kWeightStages = std::min(4, kWeightRoom / kWeightBytes);
  static constexpr int kBarriers = kWeights + kWeightStages * kWeightBytes;
  static constexpr int kWeightBarriers = kBarriers + 16 * kStages;
  static constexpr int kBytes = kWeightBarriers + 16 * kWeightStages;
  static_assert(kWeightStages >= 2 && kBytes <= kMost && kBarriers % 16 == 0);
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <typename Shared>
using TokenPlace = hopper::RingPlace<Shared::kStages, Shared::kBlockBytes, 0, Shared::kBarriers>;
template <typename Shared>
using WeightPlace = hopper::RingPlace<Shared::kWeightStages, Shared::kWeightBytes, Shared::kWeights,
                                      Shared::kWeightBarriers>;

/// Places of the tokens are read by the warps of the whole cluster: it is also the other block's
/// copies that fill them.
template <typename Shared>
__device__ __forceinline__ void init_rings(uint32_t shared) {
  if (threadIdx.x == 0) {
    TokenPlace<Shared>::init(shared, kTilePanels * Shared::kCluster);
    WeightPlace<Shared>::init(shared, kTilePanels);
    hopper::publish_barriers();
  }
  sync_blocks<Shared::kCluster>();
}

/// Starts the copies of a tile's tokens to a place in the ring: all of them, or this block's share
/// to all blocks of the cluster. Either way the whole is expected.
template <typename Shared>
__device__ __forceinline__ void fill_tokens(const TokenPlace<Shared>& place, const std::byte* from,
                                            uint32_t bytes) {
  hopper::arrive_and_expect(place.full(), bytes);
  if constexpr (Shared::kCluster == 1) {
    hopper::bulk_copy(place.address(), from, bytes, place.full());
  } else {
    constexpr uint16_t kAll = (1u << Shared::kCluster) - 1;
    const uint32_t share = bytes / Shared::kCluster;
    const uint32_t offset = hopper::block_in_cluster() * share;
    hopper::bulk_copy_to_blocks(place.address() + offset, from + offset, share, place.full(), kAll);
  }
}

/// The tiles of a block: those of its cluster in turn.
template <int kTokens>
class Tiles {
  static constexpr int kCluster = wgmma_cluster(kTokens);

 public:
  explicit __device__ __forceinline__ Tiles(const ProductArgs& args)
      : args_(args), index_(static_cast<int>(blockIdx.x) / kCluster) {}

  __device__ __forceinline__ bool done() const { return index_ >= args_.tiles; }
  __device__ __forceinline__ void advance() { index_ += static_cast<int>(gridDim.x) / kCluster; }
  /// Whether the current one has half as many tokens.
  __device__ __forceinline__ bool narrow() const {
    return kTokens == kWgmmaTokensMax && index_ >= args_.wide_tiles;
  }
  __device__ __forceinline__ Tile current() const {
    constexpr int kHalf = kTokens / 2;
    const int rank = static_cast<int>(blockIdx.x) % kCluster;
    const TileGrid grid =
        narrow() ? TileGrid{args_.wide_row_tiles, args_.row_tiles - args_.wide_row_tiles,
                            (args_.tokens - 1) / kHalf + 1, kHalf}
                 : TileGrid{0, args_.wide_row_tiles, args_.token_tiles, kTokens};
    return find_tile(args_, grid, narrow() ? index_ - args_.wide_tiles : index_, kCluster, rank);
  }

 private:
  const ProductArgs& args_;
  int index_;
};

/// One panel of a tile, for the lane that feeds it.
template <int kChunkBytes>
struct PanelFeed {
  const std::byte* panel;
  int64_t bytes;

  __device__ __forceinline__ int64_t chunk_bytes(int chunk) const {
    const int64_t left = bytes - chunk * static_cast<int64_t>(kChunkBytes);
    return min(left, static_cast<int64_t>(kChunkBytes));
  }
};

/// Starts the copies of a chunk of a tile's panels, each by one of the first lanes.
template <typename Shared, int kChunkBytes>
__device__ __forceinline__ void fill_weights(const WeightPlace<Shared>& place,
                                             const PanelFeed<kChunkBytes>& feed, int chunk) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto bytes = static_cast<uint32_t>(feed.chunk_bytes(chunk));
  if (lane == 0) hopper::arrive_and_expect(place.full(), kTilePanels * bytes);
  __syncwarp();
  if (lane < kTilePanels) {
    hopper::bulk_copy(place.address() + lane * kChunkBytes,
                      feed.panel + chunk * static_cast<int64_t>(kChunkBytes), bytes, place.full());
  }
}

/// The feeding warp: for each column block of each tile, the tokens to their ring and, at the start
/// of a chunk, the weights to theirs; then, while its last products are made, what is added to
/// their sums. All lanes wait; one copies tokens, eight a panel.
template <typename Weights, int kTokens>
__device__ __forceinline__ void feed(const ProductArgs& args, uint32_t shared) {
  using Shared = WgmmaShared<kTokens, Weights::kChunkBytes>;
  constexpr int kChunkBlocks = Weights::kColumns / kBlockColumns;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int chunks = (args.cols - 1) / Weights::kColumns + 1;
  const int64_t stride = args.padded_tokens * static_cast<int64_t>(kBlockRowBytes);
  TokenPlace<Shared> tokens(shared);
  WeightPlace<Shared> weights(shared);
  bool first = true;
  for (Tiles<kTokens> tiles(args); !tiles.done(); tiles.advance()) {
    const Tile tile = tiles.current();
    const PanelFeed<Weights::kChunkBytes> panel{tile_panel(args, tile, lane % kTilePanels),
                                                args.panel_bytes};
    const int width = tiles.narrow() ? kTokens / 2 : kTokens;
    const std::byte* from = args.activations + tile.token * static_cast<int64_t>(kBlockRowBytes);
#pragma unroll 1
    for (int block = 0; block < chunks * kChunkBlocks; ++block, from += stride) {
      if (block % kChunkBlocks == 0) {
        const int chunk = block / kChunkBlocks;
        weights.wait_empty();
        fill_weights<Shared>(weights, panel, chunk);
        weights.advance();
      }
      if (first) {  // nobody writes weights
        wait_for_previous();
        hopper::order_bulk_reads();
        first = false;
      }
      tokens.wait_empty();
      if (lane == 0) {
        fill_tokens<Shared>(tokens, from, static_cast<uint32_t>(width) * kBlockRowBytes);
      }
      tokens.advance();
    }
    prefetch_extras(args, tiles.current(), args.tile_rows(), width);
  }
  let_next_start();
}

/// The sums of a tile. Operands of two steps alternate, as the products of the step before may
/// still read theirs; once those are done the column block before is free.
template <int kTokens, typename Weights, typename Shared>
__device__ __forceinline__ void multiply_tile(int cols, TokenPlace<Shared>& tokens,
                                              WeightPlace<Shared>& chunks,
                                              float (&sums)[kTokens / 2]) {
  const uint32_t panel = threadIdx.x / 32 * Weights::kChunkBytes;
  const int count = (cols - 1) / Weights::kColumns + 1;
  Weights weights(cols);
  uint32_t a[2][8];
  uint32_t previous = 0;  // barrier of the column block before this one
#pragma unroll
  for (int i = 0; i < kTokens / 2; ++i) sums[i] = 0.0f;
#pragma unroll 1
  for (int chunk = 0; chunk < count; ++chunk) {
    chunks.wait_full();
    weights.begin_chunk(chunks.address() + panel, chunk);
#pragma unroll
    for (int step = 0; step < Weights::kSteps; ++step) {
      weights.fragments(step, a[step % 2]);
      if (step % 2 == 0) tokens.wait_full();
      const uint64_t operand = hopper::swizzled_operand(tokens.address() + step % 2 * 64);
      hopper::fence_registers();
      hopper::multiply_async<kTokens, Weights::kIsBf16>(sums, a[step % 2], operand);
      hopper::multiply_async<kTokens, Weights::kIsBf16>(sums, a[step % 2] + 4, operand + 2);
      hopper::commit_products();
      if (step == Weights::kSteps - 1) hopper::release(chunks.empty());
      hopper::wait_for_products<1>();
      if (step % 2 == 0) {
        if (previous != 0) release_place<Shared::kCluster>(previous);
      } else {
        previous = tokens.empty();
        tokens.advance();
      }
    }
    chunks.advance();
  }
  hopper::wait_for_products<0>();
  release_place<Shared::kCluster>(previous);
}

template <typename Weights, int kTokens>
__device__ __forceinline__ void multiply(const ProductArgs& args, uint32_t shared, float* slices) {
  using Shared = WgmmaShared<kTokens, Weights::kChunkBytes>;
  TokenPlace<Shared> tokens(shared);
  WeightPlace<Shared> chunks(shared);
  Tiles<kTokens> tiles(args);
  const int strip = static_cast<int>(threadIdx.x) / kStripThreads;
  const auto sync_strip = [strip] { hopper::sync_threads<kStripThreads>(1 + strip); };
  const auto compute = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    float sums[kWidth / 2];
    multiply_tile<kWidth, Weights, Shared>(args.cols, tokens, chunks, sums);
    write_tile<kWidth, Weights::kIsBf16>(args, tiles.current(), sums, slices, sync_strip);
    tiles.advance();
  };
  wait_for_previous();
  while (!tiles.done() && !tiles.narrow()) compute(std::integral_constant<int, kTokens>());
  if constexpr (kTokens == kWgmmaTokensMax) {
    while (!tiles.done()) compute(std::integral_constant<int, kTokens / 2>());
  }
}

#endif

template <base::DType kType, int kTokens>
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    wgmma_product(const __grid_constant__ ProductArgs args) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Weights = SharedWeights<kType>;
  using Shared = WgmmaShared<kTokens, Weights::kChunkBytes>;
  extern __shared__ uint8_t memory[];
  const uint32_t start = hopper::shared_address(memory);
  const uint32_t shared =
      (start + Shared::kAlignment - 1) / Shared::kAlignment * Shared::kAlignment;
  init_rings<Shared>(shared);
  // No block ends while another of its cluster may still arrive at its barriers.
  if (threadIdx.x >= kTileThreads) {
    hopper::give_registers_back<kFeedRegisters>();
    if (threadIdx.x < kTileThreads + 32) feed<Weights, kTokens>(args, shared);
    if constexpr (Shared::kCluster > 1) hopper::sync_cluster();
  } else {
    hopper::take_registers<kMultiplyRegisters>();
    float* slices = reinterpret_cast<float*>(memory + (shared - start) + Shared::kSlices);
    multiply<Weights, kTokens>(args, shared, slices);
    if constexpr (Shared::kCluster > 1) hopper::sync_cluster();
  }
#endif
}

template <base::DType kType, int kTokens>
void launch_wgmma(const OpContext& context, const ProductArgs& args) {
  using Shared = WgmmaShared<kTokens, SharedWeights<kType>::kChunkBytes>;
  constexpr int kBytes = Shared::kBytes + Shared::kAlignment;
  constexpr int kCluster = Shared::kCluster;
  const auto kernel = wgmma_product<kType, kTokens>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  const int clusters = std::min(args.tiles, args.multiprocessors / kCluster);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(clusters * kCluster)),
          .block = dim3(kWgmmaThreads),
          .shared_bytes = kBytes,
          .cluster = kCluster},
         kernel, args);
}

}  // namespace neuros::kernels::cuda::prefill
