#pragma once

/// Products of prompt rows on Hopper. A block is two warpgroups that multiply and one whose first
/// warp feeds them. Each multiplying warpgroup computes 64 weight rows x kTokens tokens by wgmma,
/// weights from registers, tokens from a ring of column blocks in shared memory that bulk copies
/// fill. While the tensor cores work on one step of 32 columns, the warps expand the weights of the
/// next; the weights of the chunk after that are on their way to registers, and those of the chunks
/// further on to L2. Blocks stay and take tiles in turn.
///
/// Bounds, for 128 rows x 256 tokens x 16 columns: 0.5 M FMA at 2048 a cycle: 256 cycles. Shared
/// memory: each warpgroup reads the tokens, 2 x 8 KiB: 128 cycles. L2: 8 KiB of tokens and 4 KiB of
/// 16-bit (1.1 of 4-bit) weights: 48 (36) B a cycle and multiprocessor, where about 55 were seen.
/// Instructions: about 25 for 8 quantised weights a lane, two warps a scheduler: 50 of 256 cycles.
/// So the tensor cores set the time, but for a first column block and the writing of a tile.

#include "kernels/cuda/dequantise_fragment.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_tile.cuh"

#include <algorithm>

namespace neuros::kernels::cuda::prefill {

inline constexpr int kWgmmaThreads = kTileThreads + 128;
/// The registers of 384 threads x 168, dealt again: 256 x 240 + 128 x 24.
inline constexpr int kMultiplyRegisters = 240;
inline constexpr int kFeedRegisters = 24;
/// How far the weights are asked to L2 in front of the ring, in columns.
inline constexpr int kAheadColumns = 512;

/// Shared memory: the ring, the slices of write_tile(), two barriers for each place in the ring.
template <int kTokens>
struct WgmmaShared {
  static constexpr int kBlockBytes = kTokens * kBlockRowBytes;
  static constexpr int kStages = kTokens == 256 ? 5 : 8;
  static constexpr int kSlices = kStages * kBlockBytes;
  static constexpr int kBarriers = kSlices + kStageBytes;
  static constexpr int kBytes = kBarriers + 2 * 8 * kStages;
  static constexpr int kAlignment = 1024;  // of the swizzle
  static_assert(kBytes + kAlignment <= 227 * 1024);
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A place in the ring. `full` ends a phase when a block is there, `empty` when all multiplying
/// warps are done with it.
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

template <int kTokens>
__device__ __forceinline__ void init_ring(uint32_t shared) {
  if (threadIdx.x == 0) {
    RingPlace<kTokens> place(shared);
    for (int i = 0; i < WgmmaShared<kTokens>::kStages; ++i) {
      hopper::init_barrier(place.full(), 1);
      hopper::init_barrier(place.empty(), kTilePanels);
      place.advance();
    }
    hopper::publish_barriers();
  }
  __syncthreads();
}

/// The feeding warp: for each column block of each tile, the tokens to the ring and, at the start
/// of a chunk, the weights of a later one to L2. All lanes wait; one copies, eight prefetch a
/// panel.
template <typename Stream, int kTokens>
__device__ __forceinline__ void feed(const ProductArgs& args, uint32_t shared, int tiles) {
  constexpr int kChunkBlocks = Stream::kColumns / kBlockColumns;
  constexpr int kAhead = kAheadColumns / Stream::kColumns;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int chunks = Stream::chunks(args.cols);
  const int64_t stride = args.padded_tokens * static_cast<int64_t>(kBlockRowBytes);
  RingPlace<kTokens> place(shared);
  for (int index = static_cast<int>(blockIdx.x); index < tiles; index += gridDim.x) {
    const Tile tile = find_tile(args, index, kTokens);
    const std::byte* panel = tile_panel(args, tile, lane % kTilePanels);
    const auto prefetch = [&](int chunk) {
      const int64_t at = chunk * static_cast<int64_t>(Stream::kChunkBytes);
      const int64_t bytes = min(args.panel_bytes - at, static_cast<int64_t>(Stream::kChunkBytes));
      if (lane < kTilePanels && bytes > 0) {
        hopper::prefetch_to_l2(panel + at, static_cast<uint32_t>(bytes));
      }
    };
    for (int chunk = 0; chunk < kAhead; ++chunk) prefetch(chunk);
    if (index == static_cast<int>(blockIdx.x)) wait_for_previous();
    const std::byte* from = args.activations + tile.token * static_cast<int64_t>(kBlockRowBytes);
    for (int block = 0; block < chunks * kChunkBlocks; ++block, from += stride) {
      if (block % kChunkBlocks == 0) prefetch(block / kChunkBlocks + kAhead);
      place.wait_empty();
      if (lane == 0) {
        hopper::arrive_and_expect(place.full(), WgmmaShared<kTokens>::kBlockBytes);
        hopper::bulk_copy(place.block(), from, WgmmaShared<kTokens>::kBlockBytes, place.full());
      }
      place.advance();
    }
  }
  let_next_start();
}

/// The sums of a tile, its weights having been started. Operands of two steps alternate, as the
/// products of the step before may still read theirs; once those are done the column block before
/// is free. `lane_0` says which thread of the warp tells so.
template <typename Stream, int kTokens>
__device__ __forceinline__ void multiply_tile(Stream& weights, int chunks, bool lane_0,
                                              RingPlace<kTokens>& place,
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
        if (lane_0 && previous != 0) hopper::arrive(previous);
      } else {
        previous = place.empty();
        place.advance();
      }
    }
    weights.end_chunk();
  }
  hopper::wait_for_products<0>();
  if (lane_0) hopper::arrive(previous);
}

template <typename Stream, int kTokens>
__device__ __forceinline__ void multiply(const ProductArgs& args, uint32_t shared, float* slices,
                                         int tiles) {
  const int panel = static_cast<int>(threadIdx.x) / 32;
  const int chunks = Stream::chunks(args.cols);
  RingPlace<kTokens> place(shared);
  Stream weights;
  int index = static_cast<int>(blockIdx.x);
  Tile tile = find_tile(args, index, kTokens);
  weights.start(tile_panel(args, tile, panel), args.cols);
  wait_for_previous();
  while (true) {
    float sums[kTokens / 2];
    multiply_tile(weights, chunks, threadIdx.x % 32 == 0, place, sums);
    index += static_cast<int>(gridDim.x);
    const Tile done = tile;
    if (index < tiles) {  // the next tile's weights are on their way while this one is written
      tile = find_tile(args, index, kTokens);
      weights.start(tile_panel(args, tile, panel), args.cols);
    }
    write_tile<kTokens>(args, done, sums, slices, [] { hopper::sync_threads<1, kTileThreads>(); });
    if (index >= tiles) return;
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
  const int tiles = args.row_tiles * args.token_tiles;
  init_ring<kTokens>(shared);
  if (threadIdx.x >= kTileThreads) {
    hopper::give_registers_back<kFeedRegisters>();
    if (threadIdx.x < kTileThreads + 32) feed<Stream, kTokens>(args, shared, tiles);
  } else {
    hopper::take_registers<kMultiplyRegisters>();
    float* slices = reinterpret_cast<float*>(memory + (shared - start) + Shared::kSlices);
    multiply<Stream, kTokens>(args, shared, slices, tiles);
  }
#endif
}

template <base::DType kType, int kTokens>
void launch_wgmma(const OpContext& context, const ProductArgs& args) {
  constexpr int kBytes = WgmmaShared<kTokens>::kBytes + WgmmaShared<kTokens>::kAlignment;
  const auto kernel = wgmma_product<kType, kTokens>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
  const int tiles = args.row_tiles * args.token_tiles;
  launch(context,
         {.grid = dim3(static_cast<unsigned>(std::min(tiles, args.multiprocessors))),
          .block = dim3(kWgmmaThreads),
          .shared_bytes = kBytes},
         kernel, args);
}

}  // namespace neuros::kernels::cuda::prefill
