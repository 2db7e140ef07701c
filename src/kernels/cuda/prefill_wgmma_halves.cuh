#pragma once

/// Products of prompt rows with f16 and bf16 weights on Hopper. The tensor cores read both operands
/// from shared memory: packed weights are made of what wgmma can read (fragment_layout.h). A tile
/// is two or three strips of 64 weight rows by kTokens tokens, each multiplied by a warpgroup of
/// its own. A warp feeds them through a ring, whose places hold 64 columns of both operands, by
/// bulk copies: one of its own, but beside three strips, which need all registers, the first of
/// those that multiply, in between. Blocks stay and take tiles in turn; clusters of two, or of four
/// where they do as many tiles in a turn, share their tokens as in prefill_wgmma.cuh.
///
/// Bounds for 256 tokens x 16 columns, two or three strips: 256, 384 cycles of the tensor cores at
/// 2048 FMA. Shared memory: for each strip 2 KiB of weights and 8 KiB of tokens are read, 2 KiB
/// written, and 8 KiB of tokens: 256, 352 cycles at 128 B. L2: 2 KiB for each strip and half of the
/// tokens: 32, 27 B a cycle and multiprocessor, in clusters of four 24, 21. So three strips leave
/// the tensor cores more room; what does not fill the chip with them is left to tiles of two
/// (prefill_tiling.h).

#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_heads.cuh"
#include "kernels/cuda/prefill_ring.cuh"
#include "kernels/cuda/prefill_tile.cuh"

#include <algorithm>

namespace neuros::kernels::cuda::prefill {

/// Threads of a block. With a feeding warp registers are dealt again, those of 384 threads x 168:
/// 256 x 224 + 128 x 56. Sums alone are 128 a thread.
template <int kStrips>
struct HalvesThreads {
  static constexpr int kMultiply = kStrips * kStripThreads;
  static constexpr bool kHasFeeder = kStrips < kTallStrips;
  static constexpr int kAll = kMultiply + (kHasFeeder ? 128 : 0);
  static constexpr int kMultiplyRegisters = 224;
  static constexpr int kFeedRegisters = 56;
};

/// Shared memory: the ring, the slices of write_strip(), two barriers for each place. The slices of
/// three strips lie in the place that a tile used last, which is held until its sums are written:
/// that makes room for one place more, and so for copies that take longer.
template <int kStrips, int kTokens, int kClusterBlocks>
struct HalvesShared {
  static constexpr int kAlignment = 1024;  // of the tokens' swizzle
  static constexpr int kMost = 227 * 1024;
  static constexpr int kCluster = kClusterBlocks;
  static constexpr int kStripBytes = kStripPanels * kHalfChunkBytes;
  static constexpr int kTokensAt = kStrips * kStripBytes;  ///< in a place, after the weights
  static constexpr int kTokenBytes = kTokens * kBlockRowBytes;
  static constexpr int kPlaceBytes = kTokensAt + kTokenBytes;
  static constexpr bool kSlicesInPlace = kStrips == kTallStrips;
  static constexpr int kSliceBytes = kSlicesInPlace ? 0 : kStrips * kStripStageFloats * 4;
  static constexpr int kStages = std::min(8, (kMost - kSliceBytes - 8 * 16) / kPlaceBytes);
  static constexpr int kSlices = kStages * kPlaceBytes;
  static constexpr int kBarriers = kSlices + kSliceBytes;
  static constexpr int kBytes = kBarriers + 16 * kStages;
  static_assert(kStages >= 3 && kBytes <= kMost && kBarriers % 16 == 0);
  static_assert(kTokensAt % kAlignment == 0 && kPlaceBytes % kAlignment == 0);
  static_assert(!kSlicesInPlace || kStrips * kStripStageFloats * 4 <= kPlaceBytes);
};
static_assert(kHalfChunkColumns == kBlockColumns);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <typename Shared>
using HalvesPlace = hopper::RingPlace<Shared::kStages, Shared::kPlaceBytes, 0, Shared::kBarriers>;

struct StripTile {
  int first_strip;  ///< through all tasks
  int strips;
  int token;  ///< the first

  __device__ __forceinline__ Tile strip(const ProductArgs& args, int i) const {
    const int index = first_strip + i;
    const int task = task_of(args, index);
    return {.task = task,
            .row = (index - args.tasks[task].first_tile) * args.strip_rows(),
            .token = token};
  }
};

/// The tiles of a block: those of its cluster in turn, the tall ones first.
template <int kStrips, int kTokens, int kCluster>
class StripTiles {
 public:
  explicit __device__ __forceinline__ StripTiles(const ProductArgs& args)
      : args_(args), index_(static_cast<int>(blockIdx.x) / kCluster) {}

  __device__ __forceinline__ bool done() const { return index_ >= args_.tiles; }
  __device__ __forceinline__ void advance() { index_ += static_cast<int>(gridDim.x) / kCluster; }
  __device__ __forceinline__ StripTile current() const {
    const int rank = static_cast<int>(blockIdx.x) % kCluster;
    const bool tall = kStrips == kTallStrips && index_ < args_.tall_tiles;
    const int strips = tall ? kTallStrips : kLowStrips;
    const int first = tall ? 0 : args_.tall_row_groups * (kCluster * kTallStrips);
    const int low_groups = (args_.row_tiles - first - 1) / (kCluster * kLowStrips) + 1;
    const TilePlace place(tall ? args_.tall_row_groups : low_groups, args_.token_tiles,
                          tall ? index_ : index_ - args_.tall_tiles);
    return {.first_strip = first + (place.row_tile * kCluster + rank) * strips,
            .strips = strips,
            .token = place.token_tile * kTokens};
  }

 private:
  const ProductArgs& args_;
  int index_;
};

/// What a feeding warp has to do: some strips of a tile, and one warp of the block, that leads, the
/// tokens.
struct FeedShare {
  int first_strip, strips;
  bool leads;
};

/// A warp's share of a tile: each lane below 4 for a strip copies the weights of a panel.
template <typename Shared>
class TileFeed {
  using Place = HalvesPlace<Shared>;

 public:
  __device__ __forceinline__ TileFeed(const ProductArgs& args, const StripTile& tile,
                                      const FeedShare& share)
      : offset_(share.first_strip * Shared::kStripBytes + lane() * kHalfChunkBytes),
        lanes_(min(share.strips, tile.strips - share.first_strip) * kStripPanels),
        bytes_(share.leads ? tile.strips * Shared::kStripBytes + Shared::kTokenBytes : 0),
        blocks_((args.cols - 1) / kBlockColumns + 1),
        block_bytes_(args.padded_tokens * static_cast<int64_t>(kBlockRowBytes)),
        panel_(strip_panel(args, tile.strip(args, share.first_strip + lane() / kStripPanels),
                           lane() % kStripPanels)),
        tokens_(args.activations + tile.token * static_cast<int64_t>(kBlockRowBytes)) {}

  __device__ __forceinline__ int blocks() const { return blocks_; }

  /// The weights of a column block. Its place is told what to expect from all warps.
  __device__ __forceinline__ void fill_weights(const Place& place, int block) const {
    if (bytes_ > 0 && lane() == 0) hopper::arrive_and_expect(place.full(), bytes_);
    __syncwarp();
    if (lane() >= lanes_) return;
    const std::byte* from = panel_ + block * static_cast<int64_t>(kHalfChunkBytes);
    hopper::bulk_copy(place.address() + offset_, from, kHalfChunkBytes, place.full());
  }

  /// The tokens: all of them, or this block's share to all blocks of the cluster.
  __device__ __forceinline__ void fill_tokens(const Place& place, int block) const {
    if (bytes_ == 0 || lane() != 0) return;
    const std::byte* from = tokens_ + block * block_bytes_;
    const uint32_t to = place.address() + Shared::kTokensAt;
    if constexpr (Shared::kCluster == 1) {
      hopper::bulk_copy(to, from, Shared::kTokenBytes, place.full());
    } else {
      constexpr uint16_t kAll = (1u << Shared::kCluster) - 1;
      constexpr uint32_t kShare = Shared::kTokenBytes / Shared::kCluster;
      const uint32_t offset = hopper::block_in_cluster() * kShare;
      hopper::bulk_copy_to_blocks(to + offset, from + offset, kShare, place.full(), kAll);
    }
  }

 private:
  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  int offset_;           // of the lane's weights in a place
  int lanes_;            // that copy weights
  uint32_t bytes_;       // of a place, if this warp leads
  int blocks_;           // of columns
  int64_t block_bytes_;  // of all tokens
  const std::byte* panel_;
  const std::byte* tokens_;
};

/// A warp's share of filling the ring of a block with its tiles' column blocks, one after another.
/// All its lanes call.
template <int kStrips, int kTokens, int kCluster>
class RingFeed {
  using Shared = HalvesShared<kStrips, kTokens, kCluster>;
  using Place = HalvesPlace<Shared>;

 public:
  __device__ __forceinline__ RingFeed(const ProductArgs& args, uint32_t shared, FeedShare share)
      : args_(args),
        share_(share),
        tiles_(args),
        feed_(args, tiles_.current(), share),
        place_(shared) {}

  __device__ __forceinline__ bool done() const { return tiles_.done(); }

  /// Fills all places. Nobody writes weights, so that they need not wait for the kernels before.
  __device__ __forceinline__ void start() {
    const int count = min(feed_.blocks(), Shared::kStages);
    Place ahead = place_;
#pragma unroll 1
    for (int block = 0; block < count; ++block, ahead.advance()) feed_.fill_weights(ahead, block);
    wait_for_previous();
    hopper::order_bulk_reads();
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      feed_.fill_tokens(place_, block_);
      advance();
    }
#pragma unroll 1
    for (int i = count; i < Shared::kStages && !done(); ++i) fill_next();
  }

  /// Waits until the next place is free and fills it.
  __device__ __forceinline__ void fill_next() {
    place_.wait_empty();
    feed_.fill_weights(place_, block_);
    feed_.fill_tokens(place_, block_);
    advance();
  }

 private:
  /// At a tile's end what will be added to its sums is asked to L2.
  __device__ __forceinline__ void advance() {
    place_.advance();
    if (++block_ < feed_.blocks()) return;
    const StripTile tile = tiles_.current();
    const int end = min(share_.first_strip + share_.strips, tile.strips);
#pragma unroll 1
    for (int i = share_.first_strip; i < end; ++i) {
      prefetch_extras(args_, tile.strip(args_, i), args_.strip_rows(), kTokens);
    }
    block_ = 0;
    tiles_.advance();
    if (done()) return let_next_start();
    feed_ = TileFeed<Shared>(args_, tiles_.current(), share_);
  }

  const ProductArgs& args_;
  FeedShare share_;
  StripTiles<kStrips, kTokens, kCluster> tiles_;
  TileFeed<Shared> feed_;
  Place place_;
  int block_ = 0;
};

/// A place that is not to be filled again yet: 32-bit addresses of its bytes and its barrier.
struct HeldPlace {
  uint32_t address = 0, empty = 0;
};

/// The sums of a strip, 64 columns at a time. The products of one block of columns run while the
/// next one's are issued; once they are done its place is free, and `refill` is called; `meanwhile`
/// while the last ones run, whose place is returned. `is_free`: the place of the last ones before
/// has been given free and not been filled.
template <int kTokens, bool kIsBf16, typename Shared, typename Refill, typename Meanwhile>
__device__ __forceinline__ HeldPlace multiply_strip(int blocks, int strip, bool is_free,
                                                    HalvesPlace<Shared>& place, Refill refill,
                                                    Meanwhile meanwhile,
                                                    float (&sums)[kTokens / 2]) {
  constexpr int kNextOperand = 2 * kHalfPieceBytes >> 4, kNextTokens = 32 >> 4;
  HeldPlace held;  // by the products before these
#pragma unroll
  for (int i = 0; i < kTokens / 2; ++i) sums[i] = 0.0f;
#pragma unroll 1
  for (int block = 0; block < blocks; ++block) {
    place.wait_full();
    const uint64_t weights = hopper::packed_operand(place.address() + strip * Shared::kStripBytes,
                                                    kHalfPieceBytes, kHalfRowsBytes);
    const uint64_t tokens = hopper::swizzled_operand(place.address() + Shared::kTokensAt);
    hopper::fence_registers();
#pragma unroll
    for (int i = 0; i < kBlockColumns / 16; ++i) {
      hopper::multiply_shared_async<kTokens, kIsBf16>(sums, weights + i * kNextOperand,
                                                      tokens + i * kNextTokens);
    }
    hopper::commit_products();
    hopper::wait_for_products<1>();
    if (block > 0) release_place<Shared::kCluster>(held.empty);
    if (block > 0 || is_free) refill();
    held = {place.address(), place.empty()};
    place.advance();
  }
  meanwhile();
  hopper::wait_for_products<0>();
  return held;
}

/// Waits until all strips of a block are done with the products of a tile.
template <int kStrips>
__device__ __forceinline__ void meet_strips() {
  hopper::sync_threads<HalvesThreads<kStrips>::kMultiply>(1 + kStrips);
}

/// Goes along with the ring where a tile has no strip for this warpgroup.
template <int kStrips, typename Shared>
__device__ __forceinline__ void pass_by(int blocks, HalvesPlace<Shared>& place) {
#pragma unroll 1
  for (int block = 0; block < blocks; ++block, place.advance()) {
    place.wait_full();
    if (Shared::kSlicesInPlace && block + 1 == blocks) meet_strips<kStrips>();
    release_place<Shared::kCluster>(place.empty());
  }
}

template <int kStrips, int kTokens, int kCluster, bool kIsBf16, typename Refill>
__device__ __forceinline__ void multiply_tiles(const ProductArgs& args, std::byte* memory,
                                               Refill refill) {
  using Shared = HalvesShared<kStrips, kTokens, kCluster>;
  // Where there are registers for it, enough for what is added to come from L2 in time.
  constexpr int kAhead = HalvesThreads<kStrips>::kHasFeeder && kTokens == kWgmmaTokensMax ? 2 : 1;
  const int blocks = (args.cols - 1) / kBlockColumns + 1;
  // The same for all lanes, as the compiler can then see.
  const int strip = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kStripThreads, 0);
  const uint32_t shared = hopper::shared_address(memory);
  HalvesPlace<Shared> place(shared);
  bool is_free = false;
  wait_for_previous();
#pragma unroll 1
  for (StripTiles<kStrips, kTokens, kCluster> tiles(args); !tiles.done(); tiles.advance()) {
    if (strip >= tiles.current().strips) {
      pass_by<kStrips, Shared>(blocks, place);
      continue;
    }
    float sums[kTokens / 2];
    SlicesAhead<kIsBf16, kAhead> ahead;
    const auto load_ahead = [&] {
      if (kAhead == 1 || args.swiglu) return;
      ahead.load_first(args, tiles.current().strip(args, strip));
    };
    const HeldPlace held = multiply_strip<kTokens, kIsBf16, Shared>(blocks, strip, is_free, place,
                                                                    refill, load_ahead, sums);
    if constexpr (Shared::kSlicesInPlace) {
      meet_strips<kStrips>();
    } else {
      release_place<kCluster>(held.empty);
      refill();
    }
    const uint32_t slices = Shared::kSlicesInPlace ? held.address - shared : Shared::kSlices;
    const Tile own = tiles.current().strip(args, strip);
    float* const stage = reinterpret_cast<float*>(memory + slices) + strip * kStripStageFloats;
    const auto sync = [strip] { hopper::sync_threads<kStripThreads>(1 + strip); };
    if (args.tasks[own.task].role != HeadRole::kNone) {
      write_heads<kTokens, kIsBf16>(args, own, sums, stage, sync);
    } else if constexpr (kAhead == 1) {
      write_strip<kTokens, kIsBf16>(args, own, sums, stage, sync);
    } else {
      write_strip<kTokens, kIsBf16>(args, own, sums, stage, sync, [&] {
        write_rows_ahead<kTokens>(args, own, sums, stage, sync, ahead);
      });
    }
    if constexpr (Shared::kSlicesInPlace) {
      hopper::publish_shared();  // bulk copies will write where slices were
      __syncwarp();
      release_place<kCluster>(held.empty);
      is_free = true;
    }
  }
}

/// A block with a warp that feeds.
template <int kStrips, int kTokens, int kCluster, bool kIsBf16>
__device__ __forceinline__ void run_fed(const ProductArgs& args, std::byte* memory) {
  using Threads = HalvesThreads<kStrips>;
  if (threadIdx.x >= Threads::kMultiply) {
    hopper::give_registers_back<Threads::kFeedRegisters>();
    if (threadIdx.x < Threads::kMultiply + 32) {
      RingFeed<kStrips, kTokens, kCluster> feed(
          args, hopper::shared_address(memory),
          {.first_strip = 0, .strips = kStrips, .leads = true});
      for (feed.start(); !feed.done();) feed.fill_next();
    }
  } else {
    hopper::take_registers<Threads::kMultiplyRegisters>();
    multiply_tiles<kStrips, kTokens, kCluster, kIsBf16>(args, memory, [] {});
  }
}

/// A block whose strips feed themselves, by their first warps. That warp waits until all warps of
/// the cluster are done with a place, while they, as it does, multiply what the next one holds. A
/// strip without a part in low tiles, which come last, has no tall ones to feed either.
template <int kStrips, int kTokens, int kCluster, bool kIsBf16>
__device__ __forceinline__ void run_feeding(const ProductArgs& args, std::byte* memory) {
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  const bool feeds = warp % kStripPanels == 0;
  RingFeed<kStrips, kTokens, kCluster> feed(
      args, hopper::shared_address(memory),
      {.first_strip = warp / kStripPanels, .strips = 1, .leads = warp == 0});
  if (feeds) feed.start();
  multiply_tiles<kStrips, kTokens, kCluster, kIsBf16>(args, memory, [&] {
    if (feeds && !feed.done()) feed.fill_next();
    __syncwarp();
  });
}

#endif

template <base::DType kType, int kStrips, int kTokens, int kCluster>
__global__ void __launch_bounds__(HalvesThreads<kStrips>::kAll, 1)
    wgmma_halves_product(const __grid_constant__ ProductArgs args) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Shared = HalvesShared<kStrips, kTokens, kCluster>;
  extern __shared__ __align__(Shared::kAlignment) std::byte aligned_memory[];
  const uint32_t shared = hopper::shared_address(aligned_memory);
  if (threadIdx.x == 0) {
    if (shared % Shared::kAlignment != 0) __trap();
    HalvesPlace<Shared>::init(shared, kStrips * kStripPanels * Shared::kCluster);
    hopper::publish_barriers();
  }
  sync_blocks<Shared::kCluster>();
  constexpr bool kIsBf16 = kType == base::DType::kBF16;
  if constexpr (HalvesThreads<kStrips>::kHasFeeder) {
    run_fed<kStrips, kTokens, kCluster, kIsBf16>(args, aligned_memory);
  } else {
    run_feeding<kStrips, kTokens, kCluster, kIsBf16>(args, aligned_memory);
  }
  // No block ends while another of its cluster may still arrive at its barriers.
  if constexpr (Shared::kCluster > 1) hopper::sync_cluster();
#endif
}

template <typename Kernel>
void allow_shared(Kernel kernel, int bytes) {
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

template <base::DType kType, int kStrips, int kTokens, int kCluster>
void launch_wgmma_halves(const OpContext& context, const ProductArgs& args) {
  using Shared = HalvesShared<kStrips, kTokens, kCluster>;
  const auto kernel = wgmma_halves_product<kType, kStrips, kTokens, kCluster>;
  allow_shared(kernel, Shared::kBytes);
  const int clusters = std::min(args.tiles, args.clusters);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(clusters * kCluster)),
          .block = dim3(HalvesThreads<kStrips>::kAll),
          .shared_bytes = Shared::kBytes,
          .cluster = kCluster},
         kernel, args);
}

/// Clusters of a kernel that the GPU has room for at a time: some of its parts have a number of
/// multiprocessors that is no multiple of a cluster's.
template <base::DType kType, int kStrips, int kTokens, int kCluster>
int halves_clusters() {
  using Shared = HalvesShared<kStrips, kTokens, kCluster>;
  const auto kernel = wgmma_halves_product<kType, kStrips, kTokens, kCluster>;
  allow_shared(kernel, Shared::kBytes);
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(kCluster);
  config.blockDim = dim3(HalvesThreads<kStrips>::kAll);
  config.dynamicSmemBytes = Shared::kBytes;
  config.attrs = &cluster;
  config.numAttrs = 1;
  int clusters = 0;
  const cudaError_t error = cudaOccupancyMaxActiveClusters(&clusters, kernel, &config);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  return clusters;
}

}  // namespace neuros::kernels::cuda::prefill
