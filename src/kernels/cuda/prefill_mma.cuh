#pragma once

/// Products of prompt rows by mma.sync, for every card from sm_75 on: m16n8k16, on sm_75 two
/// m16n8k8. A block of eight warps computes 128 rows x 128 tokens: warp w multiplies panel w by all
/// tokens, 64 sums a lane. Two blocks share a multiprocessor (of sm_75, whose shared memory is
/// small, one has it alone). Shared memory holds three column blocks of the tokens, 16 KiB each,
/// two of them on their way.
///
/// Bounds: 64 columns of a tile are 1 MFLOP x 2, 16 KiB of shared memory written and, as each warp
/// reads all of it, 128 KiB read: 1024 cycles at 128 B a cycle, as long as the tensor cores of an
/// sm_80 need (1024 FMA a cycle), half as long as those of consumer cards.

#include "kernels/cuda/dequantise_fragment.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_tile.cuh"

namespace neuros::kernels::cuda::prefill {

inline constexpr int kMmaStages = 3;
inline constexpr int kMmaStageBytes = kMmaTokens * kBlockRowBytes;
inline constexpr int kMmaSharedBytes = kMmaStages * kMmaStageBytes;
static_assert(kStageBytes <= kMmaSharedBytes && kMmaSharedBytes <= 48 * 1024);

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
inline constexpr bool kHasBf16Mma = false;
#else
inline constexpr bool kHasBf16Mma = true;
#endif

/// Starts the copy of one column block of a tile's tokens.
__device__ __forceinline__ void copy_block(uint8_t* to, const std::byte* from) {
#pragma unroll
  for (int i = 0; i < kMmaStageBytes / (16 * kTileThreads); ++i) {
    const int at = (i * kTileThreads + static_cast<int>(threadIdx.x)) * 16;
#if __CUDA_ARCH__ >= 800
    const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(to + at));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from + at)
                 : "memory");
#else
    *reinterpret_cast<uint4*>(to + at) = *reinterpret_cast<const uint4*>(from + at);
#endif
  }
}

__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Until all but the latest committed copies are done.
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group 1;" ::: "memory");
#endif
}

__device__ __forceinline__ void load_matrices(uint32_t shared, uint32_t (&b)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(shared)
               : "memory");
}

/// d += a b, 16 columns.
template <bool kIsBf16>
__device__ __forceinline__ void multiply_add(float* d, const uint32_t* a, uint32_t b0,
                                             uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  if constexpr (kIsBf16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#else
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(half == 0 ? b0 : b1));
  }
#endif
}

/// One step, 32 columns, of the tile's first `tokens` tokens. `block` is this lane's row and piece
/// of the first 8 tokens: lane 8 m + r gives ldmatrix the address of piece m of row r.
template <bool kIsBf16>
__device__ __forceinline__ void multiply_step(uint32_t block, int tokens, const uint32_t* a,
                                              float (&sums)[kMmaTokens / 2]) {
#pragma unroll
  for (int slice = 0; slice < kMmaTokens / kSliceTokens; ++slice) {
    if (slice * kSliceTokens >= tokens) return;
#pragma unroll
    for (int i = 0; i < kSliceTokens / 8; ++i) {
      const int j = slice * (kSliceTokens / 8) + i;
      uint32_t b[4];
      load_matrices(block + j * (8 * kBlockRowBytes), b);
      multiply_add<kIsBf16>(sums + 4 * j, a, b[0], b[1]);
      multiply_add<kIsBf16>(sums + 4 * j, a + 4, b[2], b[3]);
    }
  }
}

/// The ring of column blocks in shared memory.
class MmaBlocks {
 public:
  __device__ MmaBlocks(const ProductArgs& args, const Tile& tile, uint8_t* shared, int blocks)
      : shared_(shared),
        from_(args.activations + tile.token * static_cast<int64_t>(kBlockRowBytes)),
        block_bytes_(args.padded_tokens * static_cast<int64_t>(kBlockRowBytes)),
        left_(blocks) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row = lane % 8;
    lane_offset_ = row * kBlockRowBytes + ((lane / 8) ^ row) * 16;
    copy_next();
    copy_next();
  }

  /// Waits for the next block and starts to copy the one two further on; returns the block's
  /// address for this lane. Copies go where the block before this one was, which every thread has
  /// left behind at the barrier.
  __device__ __forceinline__ uint32_t next() {
    wait_for_copies();
    __syncthreads();
    copy_next();
    const auto base = static_cast<uint32_t>(__cvta_generic_to_shared(shared_));
    const uint32_t block = base + read_ * kMmaStageBytes + lane_offset_;
    read_ = read_ + 1 == kMmaStages ? 0 : read_ + 1;
    return block;
  }

 private:
  __device__ __forceinline__ void copy_next() {
    if (left_ > 0) copy_block(shared_ + write_ * kMmaStageBytes, from_);
    commit_copies();  // empty at the end, so that the count of groups stays right
    from_ += block_bytes_;
    --left_;
    write_ = write_ + 1 == kMmaStages ? 0 : write_ + 1;
  }

  uint8_t* shared_;
  const std::byte* from_;
  int64_t block_bytes_;
  int left_;
  uint32_t lane_offset_;
  int read_ = 0, write_ = 0;
};

template <base::DType kType>
__global__ void __launch_bounds__(kTileThreads, 2)
    mma_product(const __grid_constant__ ProductArgs args) {
  using Stream = WeightStream<kType>;
  if constexpr (Stream::kIsBf16 && !kHasBf16Mma) return;  // launch_fma() does these
  extern __shared__ __align__(128) uint8_t shared[];
  const Tile tile = find_tile(args, {0, args.row_tiles, args.token_tiles, kMmaTokens},
                              static_cast<int>(blockIdx.x));
  Stream weights;
  weights.start(tile_panel(args, tile, static_cast<int>(threadIdx.x) / 32), args.cols);
  wait_for_previous();
  const int chunks = Stream::chunks(args.cols);
  MmaBlocks blocks(args, tile, shared, chunks * (Stream::kColumns / kBlockColumns));
  const int tokens = args.tokens - tile.token;
  float sums[kMmaTokens / 2] = {};
  for (int chunk = 0; chunk < chunks; ++chunk) {
    weights.begin_chunk();
    uint32_t block = 0;
#pragma unroll
    for (int step = 0; step < Stream::kSteps; ++step) {
      block = step % 2 == 0 ? blocks.next() : block ^ 64;  // pieces 0 .. 3, then 4 .. 7
      if constexpr (Stream::kInPlace) {
        multiply_step<Stream::kIsBf16>(block, tokens, weights.operands(step), sums);
        weights.advance(step);
      } else {
        uint32_t a[8];
        weights.fragments(step, a);
        weights.advance(step);
        multiply_step<Stream::kIsBf16>(block, tokens, a, sums);
      }
    }
    weights.end_chunk();
  }
  __syncthreads();
  let_next_start();
  write_tile<kMmaTokens, Stream::kIsBf16>(args, tile, sums, reinterpret_cast<float*>(shared),
                                          [] { __syncthreads(); });
}

template <base::DType kType>
void launch_mma(const OpContext& context, const ProductArgs& args) {
  const int blocks = args.row_tiles * args.token_tiles;
  launch(context,
         {.grid = dim3(static_cast<unsigned>(blocks)),
          .block = dim3(kTileThreads),
          .shared_bytes = kMmaSharedBytes},
         mma_product<kType>, args);
}

}  // namespace neuros::kernels::cuda::prefill
