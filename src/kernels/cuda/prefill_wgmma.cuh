#pragma once

/// Products of prompt rows on Hopper. A block is two warpgroups that multiply and one whose first
/// warp feeds them. Each multiplying warpgroup computes 64 weight rows x kTokens tokens by wgmma,
/// weights from registers, tokens from a ring of column blocks in shared memory that bulk copies
/// fill. While the tensor cores work on one step of 32 columns, the warps expand the weights of the
/// next; the weights of the chunk after that are on their way to registers, and those of the chunks
/// further on to L2. Blocks stay and take tiles in turn.
///
/// Tiles of 256 tokens are computed by pairs of blocks, a cluster, one above the other: each copies
/// half of the tokens to both, so that L2 gives them once. So that a last round of tiles that would
/// leave half of the multiprocessors idle takes half as long, its tiles have half as many tokens.
///
/// Bounds, for 128 rows x 256 tokens x 16 columns: 0.5 M FMA at 2048 a cycle: 256 cycles. Shared
/// memory: each warpgroup reads the tokens, 2 x 8 KiB: 128 cycles. L2: 4 KiB of tokens and 4 KiB of
/// 16-bit (1.1 of 4-bit) weights, 32 (20) B a cycle and multiprocessor; without the cluster 48
/// (36), and cards were measured at about 30. Instructions: about 25 for 8 quantised weights a
/// lane, two warps a scheduler: 50 of 256 cycles. So the tensor cores set the time, but for a
/// tile's first column blocks and its writing.

#include "kernels/cuda/dequantise_fragment.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_tile.cuh"

#include <algorithm>
#include <type_traits>

namespace neuros::kernels::cuda::prefill {

inline constexpr int kWgmmaThreads = kTileThreads + 128;
/// The registers of 384 threads x 168, dealt again: 256 x 232 + 128 x 40.
inline constexpr int kMultiplyRegisters = 232;
inline constexpr int kFeedRegisters = 40;
/// How far the weights are asked to L2 in front of the ring, in columns.
inline constexpr int kAheadColumns = 512;

/// Shared memory: the ring, the slices of write_tile(), two barriers for each place in the ring.
template <int kTokens>
struct WgmmaShared {
  static constexpr int kBlockBytes = kTokens * kBlockRowBytes;
  static constexpr int kCluster = wgmma_cluster(kTokens);
  static constexpr int kStages = kTokens == 256 ? 5 : 8;
  static constexpr int kSlices = kStages * kBlockBytes;
  static constexpr int kBarriers = kSlices + kStageBytes;
  static constexpr int kBytes = kBarriers + 2 * 8 * kStages;
  static constexpr int kAlignment = 1024;  // of the swizzle
  static_assert(kBytes + kAlignment <= 227 * 1024);
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A place in the ring. `full` ends a phase when a block is there, `empty` when all multiplying
/// warps of the cluster are done with it: it is also the other block's copies that fill it.
template <int kTokens>
class RingPlace {
  using Shared = WgmmaShared<kTokens>;

 public:
  explicit __device__ __forceinline__ RingPlace(uint32_t shared) : shared_(shared) {}

  __device__ __forceinline__ uint32_t block() const {
    return shared_ + index_ * Shared::kBlockBytes;
  }
  __device__ __forceinline__ uint32_t full() const {
    return shared_ + Shared::kBarriers + index_ * 16;
  }
  __device__ __forceinline__ uint32_t empty() const { return full() + 8; }
  __device__ __forceinline__ void wait_full() const { hopper::wait(full(), phase_); }
  /// Passes at once on the first round: a fresh barrier counts as past its odd phase.
  __device__ __forceinline__ void wait_empty() const { hopper::wait(empty(), phase_ ^ 1); }

  __device__ __forceinline__ void advance() {
    if (++index_ < static_cast<uint32_t>(Shared::kStages)) return;
    index_ = 0;
    phase_ ^= 1;
  }

 private:
  uint32_t shared_;
  uint32_t index_ = 0, phase_ = 0;
};

/// A barrier of all threads of the cluster.
template <int kTokens>
__device__ __forceinline__ void sync_blocks() {
  if constexpr (WgmmaShared<kTokens>::kCluster == 1) {
    __syncthreads();
  } else {
    hopper::sync_cluster();
  }
}

template <int kTokens>
__device__ __forceinline__ void init_ring(uint32_t shared) {
  if (threadIdx.x == 0) {
    RingPlace<kTokens> place(shared);
    for (int i = 0; i < WgmmaShared<kTokens>::kStages; ++i) {
      hopper::init_barrier(place.full(), 1);
      hopper::init_barrier(place.empty(), kTilePanels * WgmmaShared<kTokens>::kCluster);
      place.advance();
    }
    hopper::publish_barriers();
  }
  sync_blocks<kTokens>();
}

/// Says that a warp is done with a place in the ring, given its barrier `empty`.
template <int kTokens>
__device__ __forceinline__ void release(uint32_t empty) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (WgmmaShared<kTokens>::kCluster == 1) {
    if (lane == 0) hopper::arrive(empty);
  } else {
    if (lane < WgmmaShared<kTokens>::kCluster) hopper::arrive_at_block(empty, lane);
  }
}

/// Starts the copies of a tile's tokens to a place in the ring: all of them, or this block's share
/// to all blocks of the cluster. Either way the whole is expected.
template <int kTokens>
__device__ __forceinline__ void fill(const RingPlace<kTokens>& place, const std::byte* from,
                                     uint32_t bytes) {
  using Shared = WgmmaShared<kTokens>;
  hopper::arrive_and_expect(place.full(), bytes);
  if constexpr (Shared::kCluster == 1) {
    hopper::bulk_copy(place.block(), from, bytes, place.full());
  } else {
    constexpr uint16_t kAll = (1u << Shared::kCluster) - 1;
    const uint32_t share = bytes / Shared::kCluster;
    const uint32_t offset = hopper::block_in_cluster() * share;
    hopper::bulk_copy_to_blocks(place.block() + offset, from + offset, share, place.full(), kAll);
  }
}

/// The tiles of a block: those of its cluster in turn.
template <int kTokens>
class Tiles {
  static constexpr int kCluster = WgmmaShared<kTokens>::kCluster;

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

/// Asks for what will be added to a tile's sums.
__device__ __forceinline__ void prefetch_extras(const ProductArgs& args, const Tile& tile,
                                                int tokens) {
  const ProductTask& task = args.tasks[tile.task];
  const float* extras = task.residual != nullptr ? task.residual : task.gate;
  const int rows = min(args.tile_rows(), task.rows - tile.row);
  if (extras == nullptr || !task.aligned || rows <= 0) return;
  const int end = min(tile.token + tokens, args.tokens);
  for (int token = tile.token + static_cast<int>(threadIdx.x) % 32; token < end; token += 32) {
    const float* from = extras + static_cast<int64_t>(token) * task.rows + tile.row;
    hopper::prefetch_to_l2(reinterpret_cast<const std::byte*>(from),
                           static_cast<uint32_t>(rows) * 4);
  }
}

/// The feeding warp: for each column block of each tile, the tokens to the ring and, at the start
/// of a chunk, the weights of a later one to L2; then, while its last products are made, what is
/// added to their sums. All lanes wait; one copies, eight prefetch a panel.
template <typename Stream, int kTokens>
__device__ __forceinline__ void feed(const ProductArgs& args, uint32_t shared) {
  constexpr int kChunkBlocks = Stream::kColumns / kBlockColumns;
  constexpr int kAhead = kAheadColumns / Stream::kColumns;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int chunks = Stream::chunks(args.cols);
  const int64_t stride = args.padded_tokens * static_cast<int64_t>(kBlockRowBytes);
  RingPlace<kTokens> place(shared);
  bool first = true;
  for (Tiles<kTokens> tiles(args); !tiles.done(); tiles.advance()) {
    const Tile tile = tiles.current();
    const std::byte* panel = tile_panel(args, tile, lane % kTilePanels);
    const auto prefetch = [&](int chunk) {
      const int64_t at = chunk * static_cast<int64_t>(Stream::kChunkBytes);
      const int64_t bytes = min(args.panel_bytes - at, static_cast<int64_t>(Stream::kChunkBytes));
      if (lane < kTilePanels && bytes > 0) {
        hopper::prefetch_to_l2(panel + at, static_cast<uint32_t>(bytes));
      }
    };
#pragma unroll 1  // few registers
    for (int chunk = 0; chunk < kAhead; ++chunk) prefetch(chunk);
    if (first) {
      wait_for_previous();
      hopper::order_bulk_reads();
      first = false;
    }
    const int width = tiles.narrow() ? kTokens / 2 : kTokens;
    const std::byte* from = args.activations + tile.token * static_cast<int64_t>(kBlockRowBytes);
#pragma unroll 1
    for (int block = 0; block < chunks * kChunkBlocks; ++block, from += stride) {
      if (block % kChunkBlocks == 0) prefetch(block / kChunkBlocks + kAhead);
      place.wait_empty();
      if (lane == 0) fill<kTokens>(place, from, static_cast<uint32_t>(width) * kBlockRowBytes);
      place.advance();
    }
    prefetch_extras(args, tiles.current(), width);
  }
  let_next_start();
}

/// The sums of a tile, its weights having been started. Operands of two steps alternate, as the
/// products of the step before may still read theirs; once those are done the column block before
/// is free.
template <typename Stream, int kTokens, int kRingTokens>
__device__ __forceinline__ void multiply_tile(Stream& weights, int chunks,
                                              RingPlace<kRingTokens>& place,
                                              float (&sums)[kTokens / 2]) {
  uint32_t a[2][8];
  uint32_t previous = 0;  // barrier of the column block before this one
#pragma unroll
  for (int i = 0; i < kTokens / 2; ++i) sums[i] = 0.0f;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    weights.begin_chunk();
#pragma unroll
    for (int step = 0; step < Stream::kSteps; ++step) {
      const uint32_t* operands = a[step % 2];
      if constexpr (Stream::kInPlace) {
        operands = weights.operands(step);
      } else {
        weights.fragments(step, a[step % 2]);
        weights.advance(step);
      }
      if (step % 2 == 0) place.wait_full();
      const uint64_t tokens = hopper::swizzled_operand(place.block() + step % 2 * 64);
      hopper::fence_registers();
      hopper::multiply_async<kTokens, Stream::kIsBf16>(sums, operands, tokens);
      hopper::multiply_async<kTokens, Stream::kIsBf16>(sums, operands + 4, tokens + 2);
      hopper::commit_products();
      hopper::wait_for_products<1>();
      if constexpr (Stream::kInPlace) weights.advance(step);
      if (step % 2 == 0) {
        if (previous != 0) release<kRingTokens>(previous);
      } else {
        previous = place.empty();
        place.advance();
      }
    }
    weights.end_chunk();
  }
  hopper::wait_for_products<0>();
  release<kRingTokens>(previous);
}

template <typename Stream, int kTokens>
__device__ __forceinline__ void multiply(const ProductArgs& args, uint32_t shared, float* slices) {
  const int chunks = Stream::chunks(args.cols);
  RingPlace<kTokens> place(shared);
  Stream weights;
  Tiles<kTokens> tiles(args);
  const int half = static_cast<int>(threadIdx.x) / kHalfThreads;
  const auto sync_half = [half] { hopper::sync_threads<kHalfThreads>(1 + half); };
  const auto start = [&] {
    const int panel = static_cast<int>(threadIdx.x) / 32;
    weights.start(tile_panel(args, tiles.current(), panel), args.cols);
  };
  const auto compute = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    float sums[kWidth / 2];
    multiply_tile<Stream, kWidth>(weights, chunks, place, sums);
    const Tile finished = tiles.current();
    tiles.advance();
    if (!tiles.done()) start();  // the next weights are on their way while this tile is written
    write_tile<kWidth>(args, finished, sums, slices, sync_half);
  };
  start();
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
  using Stream = WeightStream<kType>;
  using Shared = WgmmaShared<kTokens>;
  extern __shared__ uint8_t memory[];
  const uint32_t start = hopper::shared_address(memory);
  const uint32_t shared =
      (start + Shared::kAlignment - 1) / Shared::kAlignment * Shared::kAlignment;
  init_ring<kTokens>(shared);
  // No block ends while another of its cluster may still arrive at its barriers.
  if (threadIdx.x >= kTileThreads) {
    hopper::give_registers_back<kFeedRegisters>();
    if (threadIdx.x < kTileThreads + 32) feed<Stream, kTokens>(args, shared);
    if constexpr (Shared::kCluster > 1) hopper::sync_cluster();
  } else {
    hopper::take_registers<kMultiplyRegisters>();
    float* slices = reinterpret_cast<float*>(memory + (shared - start) + Shared::kSlices);
    multiply<Stream, kTokens>(args, shared, slices);
    if constexpr (Shared::kCluster > 1) hopper::sync_cluster();
  }
#endif
}

/// launch() of clusters.
template <typename Kernel>
void launch_clusters(const OpContext& context, unsigned blocks, unsigned cluster, size_t bytes,
                     Kernel kernel, const ProductArgs& args) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = cluster;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(kWgmmaThreads);
  config.dynamicSmemBytes = bytes;
  config.stream = stream_of(context);
  config.attrs = attributes;
  config.numAttrs = 2;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, args);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

template <base::DType kType, int kTokens>
void launch_wgmma(const OpContext& context, const ProductArgs& args) {
  constexpr int kBytes = WgmmaShared<kTokens>::kBytes + WgmmaShared<kTokens>::kAlignment;
  constexpr int kCluster = WgmmaShared<kTokens>::kCluster;
  const auto kernel = wgmma_product<kType, kTokens>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  const int clusters = std::min(args.tiles, args.multiprocessors / kCluster);
  launch_clusters(context, static_cast<unsigned>(clusters * kCluster), kCluster, kBytes, kernel,
                  args);
}

}  // namespace neuros::kernels::cuda::prefill
