/// The convolution on Hopper, for f16 weights and up to 384 columns. A block has 96 frames of an
/// item, which stay in shared memory, and goes through all output channels, 64 at a time: a chunk.
/// Three warpgroups take the chunks in turn and multiply by wgmma, weights from registers, frames
/// from shared memory; while one multiplies, the others finish their sums. The frames of a tap are
/// a box of a tensor map: nothing is gathered in memory, and frames outside the item come as zeros.
///
/// Weights pass through a ring in shared memory that one warp fills. Blocks are in pairs, clusters:
/// each copies half of the weights to both. y passes through a ring of tiles of 96 frames x 64
/// channels: positions are copied there, a warpgroup puts its numbers in their place, and three
/// warps, with a thread for a frame, copy the tile to y and take its part of the statistics. Mean
/// and squares of deviations are those of 64 channels at first and are put together by pairs (Chan
/// et al., https://doi.org/10.1007/978-3-642-51461-6_3): no large numbers cancel.
///
/// Bounds for 7 items of 1500 frames, 384 columns, 1280 channels: 112 blocks of 20 chunks. A chunk:
/// products, 24 of 48 cycles: 1152 cycles. Shared memory at 128 B a cycle: weights, 48 KiB, written
/// and read, frames, 72 KiB, read, tiles, 12 KiB, five times: 1824 cycles, which sets the time. L2:
/// 24 KiB of weights and 12 KiB of positions at about 30 B a cycle: 1230 cycles. Instructions: 17
/// for a number, statistics included, 18 for 16 columns of a warp's products: some 1300 cycles at
/// four warps a cycle. In all 36 k cycles. Device memory: 27 MB of y.

#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/conv1d_gelu_rows.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ring_place.cuh"
#include "kernels/cuda/tensor_map.h"

namespace neuros::kernels::cuda {
namespace {

constexpr int kFrames = 96;  ///< of a block
constexpr int kGroups = 3;   ///< warpgroups that multiply
constexpr int kGroupThreads = 128;
constexpr int kChannels = 64;  ///< of a chunk
constexpr int kColumns = 64;   ///< of a place in the ring of weights
constexpr int kColumnBlocksMax = 6;
constexpr int kPair = 2;  ///< blocks of a cluster

/// After the warpgroups a warp that feeds them, and those that finish the rows.
constexpr int kFeeder = kGroups * kGroupThreads;
constexpr int kFinishers = kFeeder + 32;
constexpr int kThreads = kFinishers + kFrames;

/// Shared memory: frames and tiles in rows of 128 bytes in the 128-byte swizzle; weights; barriers
/// of the frames' column blocks and of both rings.
constexpr int kAlignment = 1024;  // of the swizzle
constexpr int kRowBytes = 128;    ///< 64 columns or channels
constexpr int kFrameBlockBytes = kFrames * kRowBytes;
constexpr int kTileBytes = kFrames * kRowBytes;
constexpr int kTileStages = 4;
constexpr int kPanels = kChannels / kPanelRows;
constexpr int kPanelBytes = kPanelRows * kColumns * 2;  ///< of a panel in a place
static_assert(kPanelBytes == kHalfChunkBytes);
constexpr int kPlaceBytes = kPanels * kPanelBytes;
constexpr int kStages = 12;
constexpr int kTilesAt = kColumnBlocksMax * kFrameBlockBytes;
constexpr int kWeightsAt = kTilesAt + kTileStages * kTileBytes;
constexpr int kFrameBarriers = kWeightsAt + kStages * kPlaceBytes;
constexpr int kTileBarriers = kFrameBarriers + 8 * kColumnBlocksMax;
constexpr int kWeightBarriers = kTileBarriers + 16 * kTileStages;
constexpr int kSharedBytes = kWeightBarriers + 16 * kStages + kAlignment;

struct ConvolutionView {
  Conv1dGeluArgs args;
  int32_t frames_out = 0;
  int32_t tiles = 0;        ///< blocks of an item
  int32_t chunks = 0;       ///< of channels
  int64_t panel_bytes = 0;  ///< of a whole panel
  int32_t column_blocks = 0;
};

struct ConvolutionMaps {
  CUtensorMap frames, positions, y;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

using WeightPlace = hopper::RingPlace<kStages, kPlaceBytes, kWeightsAt, kWeightBarriers>;
/// `full`: the positions are there; `empty`: the numbers of y are.
using TilePlace = hopper::RingPlace<kTileStages, kTileBytes, kTilesAt, kTileBarriers>;

__device__ __forceinline__ uint32_t frame_barrier(uint32_t shared, int block) {
  return shared + kFrameBarriers + 8 * static_cast<uint32_t>(block);
}

__device__ __forceinline__ void init_barriers(uint32_t shared) {
  constexpr uint32_t kReaders = kGroupThreads / 32;  // a chunk has one warpgroup
  if (threadIdx.x == 0) {
    for (int i = 0; i < kColumnBlocksMax; ++i) hopper::init_barrier(frame_barrier(shared, i), 1);
    WeightPlace::init(shared, kPair * kReaders);
    TilePlace::init(shared, kReaders);
    hopper::publish_barriers();
  }
  hopper::sync_cluster();
}

/// A block's frames. The second block of the last pair may have none: its item does not exist, so
/// that its frames come as zeros and nothing is stored; it still copies half of the weights.
struct Work {
  int32_t item, first;

  explicit __device__ __forceinline__ Work(const ConvolutionView& view) {
    const auto block = static_cast<int32_t>(blockIdx.x);
    item = block / view.tiles;
    first = block % view.tiles * kFrames;
  }
};

/// The feeding warp.
class Feeder {
 public:
  __device__ __forceinline__ Feeder(const ConvolutionView& view, const ConvolutionMaps& maps,
                                    uint32_t shared)
      : view_(view), maps_(maps), shared_(shared), place_(shared) {}

  __device__ __forceinline__ void all() {
#pragma unroll 1
    for (int i = 0; i < kStages && chunk_ < view_.chunks; ++i) feed_weights();
    wait_for_previous();
    if (lane() == 0) feed_frames();
    __syncwarp();
#pragma unroll 1
    while (chunk_ < view_.chunks) feed_weights();
  }

 private:
  __device__ __forceinline__ static int lane() {
    return static_cast<int>(threadIdx.x) % 32;
  }

  __device__ __forceinline__ void feed_frames() const {
    hopper::order_bulk_reads();
    const Work work(view_);
    const Conv1dGeluArgs& args = view_.args;
    const int tap_blocks = args.channels / kColumns;
#pragma unroll 1
    for (int block = 0; block < view_.column_blocks; ++block) {
      const int tap = block / tap_blocks;
      const uint32_t barrier = frame_barrier(shared_, block);
      hopper::arrive_and_expect(barrier, kFrameBlockBytes);
      hopper::copy_box(shared_ + block * kFrameBlockBytes, &maps_.frames,
                       block % tap_blocks * kColumns, work.first * args.stride - args.padding + tap,
                       work.item, barrier);
    }
  }

  /// This block's half of the next place, to both blocks, when all of both have released it.
  __device__ __forceinline__ void feed_weights() {
    constexpr int kShare = kPanels / kPair;
    constexpr uint16_t kBoth = (1u << kPair) - 1;
    place_.wait_empty();
    if (lane() == 0) hopper::arrive_and_expect(place_.full(), kPlaceBytes);
    __syncwarp();
    if (lane() < kShare) {
      const int panel = static_cast<int>(hopper::block_in_cluster()) * kShare + lane();
      const std::byte* from =
          view_.args.weight.data + (chunk_ * kPanels + panel) * view_.panel_bytes;
      hopper::bulk_copy_to_blocks(place_.address() + panel * kPanelBytes,
                                  from + block_ * int64_t{kPanelBytes}, kPanelBytes, place_.full(),
                                  kBoth);
    }
    place_.advance();
    if (++block_ < view_.column_blocks) return;
    block_ = 0;
    ++chunk_;
  }

  const ConvolutionView& view_;
  const ConvolutionMaps& maps_;
  uint32_t shared_;
  WeightPlace place_;
  int chunk_ = 0, block_ = 0;
};

/// The A operand of 16 columns from this warp's panel in shared memory. Packed weights have columns
/// in another order than the instruction (fragment_layout.h); in the natural one, which the frames
/// have, a lane's words are columns 2t, 2t + 1 and 2t + 8, 2t + 9 of rows g and g + 8. They lie in
/// the piece t % 2 of each row, eight bytes apart. Lanes of odd t load the second ones first, so
/// that all are in different banks.
__device__ __forceinline__ void load_weights(uint32_t panel_step, uint32_t* a) {
  const uint32_t lane = threadIdx.x % 32;
  const bool swapped = lane % 2 != 0;
  const uint32_t at = panel_step + lane % 2 * kHalfPieceBytes + lane / 4 * 16 + lane % 4 / 2 * 4;
  uint32_t words[2][2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint32_t from = at + static_cast<uint32_t>(row * kHalfRowsBytes);
      asm volatile("ld.shared.b32 %0, [%1];"
                   : "=r"(words[i][row])
                   : "r"(from + ((i == 1) != swapped ? 8 : 0))
                   : "memory");
    }
  }
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    a[row] = swapped ? words[1][row] : words[0][row];
    a[2 + row] = swapped ? words[0][row] : words[1][row];
  }
}

/// A warpgroup's way through its chunks: every third one.
class Group {
 public:
  __device__ __forceinline__ Group(const ConvolutionView& view, uint32_t shared)
      : view_(view), shared_(shared), place_(shared), tile_(shared) {
    place_.skip(group() * static_cast<uint32_t>(view.column_blocks));
    tile_.skip(group());
  }

  __device__ __forceinline__ void all() {
    auto chunk = static_cast<int>(group());
    load_bias(chunk);
#pragma unroll 1
    for (; chunk < view_.chunks; chunk += kGroups) {
#pragma unroll
      for (int n = 0; n < kFrames / 2; ++n) sums_[n] = bias_[n % 4 / 2];
      multiply();
      place_.skip((kGroups - 1) * static_cast<uint32_t>(view_.column_blocks));
      load_bias(chunk + kGroups);
      finish();
      tile_.skip(kGroups);
    }
  }

 private:
  __device__ __forceinline__ static uint32_t group() {
    return threadIdx.x / kGroupThreads;
  }
  __device__ __forceinline__ static uint32_t warp() {
    return threadIdx.x / 32 % 4;
  }
  __device__ __forceinline__ static uint32_t lane() {
    return threadIdx.x % 32;
  }

  /// Of the lane's channels of a chunk: g and g + 8 of its warp's.
  __device__ __forceinline__ void load_bias(int chunk) {
    if (view_.args.bias == nullptr || chunk >= view_.chunks) return;
    const auto row = static_cast<int>(warp() * kPanelRows + lane() / 4);
    const float* bias = view_.args.bias + chunk * kChannels + row;
    bias_[0] = __ldg(bias);
    bias_[1] = __ldg(bias + 8);
  }

  /// Says to both blocks that this warp is done with a place, given its barrier `empty`.
  __device__ __forceinline__ static void release(uint32_t empty) {
    __syncwarp();
    if (lane() < kPair) hopper::arrive_at_block(empty, lane());
  }

  /// sums += weights x frames: the lane's rows are the channels g and g + 8 of its warp, columns
  /// the frames 8 j + 2 t and one more. The operands of two halves of a place alternate, as the
  /// products of the half before may still read theirs; once those are done the place before is
  /// free.
  __device__ __forceinline__ void multiply() {
    uint32_t a[2][8];
    uint32_t previous = 0;  // barrier of the place before this one
#pragma unroll 1
    for (int block = 0; block < view_.column_blocks; ++block) {
      hopper::wait(frame_barrier(shared_, block), 0);
      place_.wait_full();
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint32_t weights =
            place_.address() + warp() * kPanelBytes + half * (2 * kHalfStepRowsBytes);
        load_weights(weights, a[half]);
        load_weights(weights + kHalfStepRowsBytes, a[half] + 4);
        const uint64_t b = hopper::swizzled_operand(shared_ + block * kFrameBlockBytes + half * 64);
        hopper::fence_registers();
        hopper::multiply_async<kFrames, false>(sums_, a[half], b);
        hopper::multiply_async<kFrames, false>(sums_, a[half] + 4, b + 2);
        hopper::commit_products();
        hopper::wait_for_products<1>();
        if (half == 0 && previous != 0) release(previous);
      }
      previous = place_.empty();
      place_.advance();
    }
    hopper::wait_for_products<0>();
    hopper::settle(sums_);
    release(previous);
  }

  /// Where the lane's row of the warp's channels and the first 16 frames is in a tile, for
  /// load_columns(): frames 0 .. 7 of channels 0 .. 7, then of 8 .. 15, then frames 8 .. 15.
  __device__ __forceinline__ static uint32_t own_row() {
    const uint32_t frame = lane() / 16 * 8 + lane() % 8, unit = 2 * warp() + lane() / 8 % 2;
    return frame * kRowBytes + ((unit ^ frame % 8) << 4);
  }

  /// From sums and positions to the numbers of y in the chunk's tile.
  __device__ __forceinline__ void finish() {
    constexpr int kBlock = 16;  ///< frames
    const bool has_positions = view_.args.positions != nullptr;
    tile_.wait_full();
    const uint32_t at = tile_.address() + own_row();
    uint32_t next[4] = {};
    if (has_positions) hopper::load_columns(at, next);
#pragma unroll
    for (int i = 0; i < kFrames / kBlock; ++i) {
      uint32_t words[4];
#pragma unroll
      for (int m = 0; m < 4; ++m) words[m] = next[m];
      if (has_positions && i + 1 < kFrames / kBlock) {
        hopper::load_columns(at + (i + 1) * (kBlock * kRowBytes), next);
      }
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        const float2 position = unpack(words[m], __half{});
        words[m] = pack(gelu(sums_[8 * i + 2 * m]) + position.x,
                        gelu(sums_[8 * i + 2 * m + 1]) + position.y, __half{});
      }
      hopper::store_columns(at + i * (kBlock * kRowBytes), words);
    }
    hopper::publish_shared();
    hopper::release(tile_.empty());
  }

  const ConvolutionView& view_;
  uint32_t shared_;
  WeightPlace place_;
  TilePlace tile_;
  float bias_[2] = {};
  float sums_[kFrames / 2];
};

/// Mean of a row and sum of the squares of what is left, over some channels.
struct Moments {
  float mean = 0.0f;
  float squares = 0.0f;
};

/// Moments of `count` channels and of `added` others together.
__device__ __forceinline__ Moments together(Moments a, float count, Moments b, float added) {
  const float distance = b.mean - a.mean, share = __fdividef(added, count + added);
  return {a.mean + distance * share, a.squares + b.squares + distance * distance * count * share};
}

/// The warps that finish the rows, a thread a frame; the first thread also starts the copies.
class Finisher {
 public:
  __device__ __forceinline__ Finisher(const ConvolutionView& view, const ConvolutionMaps& maps,
                                      uint32_t shared)
      : view_(view),
        maps_(maps),
        work_(view),
        frame_(static_cast<int>(threadIdx.x) - kFinishers),
        tile_(shared) {}

  __device__ __forceinline__ void all() {
    wait_for_previous();
    for (int chunk = 0; chunk < kTileStages; ++chunk) {
      fill(chunk);
      tile_.advance();
    }
#pragma unroll 1
    for (int chunk = 0; chunk < view_.chunks; ++chunk) {
      tile_.wait_empty();
      store(chunk);
      moments_ =
          together(moments_, static_cast<float>(chunk * kChannels), moments_of_tile(), kChannels);
      if (frame_ == 0) hopper::wait_for_store_reads();
      hopper::sync_threads<kFrames>(1);
      fill(chunk + kTileStages);
      tile_.advance();
    }
    write_statistics();
  }

 private:
  /// Positions of a chunk to a tile that nobody reads any more.
  __device__ __forceinline__ void fill(int chunk) const {
    if (frame_ != 0 || chunk >= view_.chunks) return;
    if (view_.args.positions == nullptr) {
      hopper::arrive(tile_.full());
    } else {
      hopper::arrive_and_expect(tile_.full(), kTileBytes);
      hopper::copy_box(tile_.address(), &maps_.positions, chunk * kChannels, work_.first,
                       tile_.full());
    }
  }

  __device__ __forceinline__ void store(int chunk) const {
    if (frame_ != 0) return;
    hopper::store_box(&maps_.y, chunk * kChannels, work_.first, work_.item, tile_.address());
    hopper::commit_stores();
  }

  __device__ __forceinline__ Moments moments_of_tile() const {
    constexpr int kUnits = kRowBytes / 16;
    const auto frame = static_cast<uint32_t>(frame_);
    const uint32_t row = tile_.address() + frame * kRowBytes;
    uint4 words[kUnits];
    float sums[2] = {}, squares[2] = {};
#pragma unroll
    for (uint32_t unit = 0; unit < kUnits; ++unit) {
      words[unit] = hopper::load_16(row + ((unit ^ frame % 8) << 4));
      for_pairs(words[unit], [&](float2 y) { sums[0] += y.x, sums[1] += y.y; });
    }
    const float mean = (sums[0] + sums[1]) * (1.0f / kChannels);
#pragma unroll
    for (int unit = 0; unit < kUnits; ++unit) {
      for_pairs(words[unit], [&](float2 y) {
        squares[0] += (y.x - mean) * (y.x - mean);
        squares[1] += (y.y - mean) * (y.y - mean);
      });
    }
    return {mean, squares[0] + squares[1]};
  }

  template <typename Take>
  __device__ __forceinline__ static void for_pairs(uint4 words, Take take) {
    take(unpack(words.x, __half{}));
    take(unpack(words.y, __half{}));
    take(unpack(words.z, __half{}));
    take(unpack(words.w, __half{}));
  }

  __device__ __forceinline__ void write_statistics() const {
    const int32_t frame = work_.first + frame_;
    if (work_.item >= view_.args.items || frame >= view_.frames_out) return;
    const int64_t row = int64_t{work_.item} * view_.frames_out + frame;
    const float variance = moments_.squares / static_cast<float>(view_.chunks * kChannels);
    view_.args.mean[row] = moments_.mean;
    view_.args.inverse_deviation[row] = 1.0f / sqrtf(variance + view_.args.epsilon);
  }

  const ConvolutionView& view_;
  const ConvolutionMaps& maps_;
  Work work_;
  int frame_;
  TilePlace tile_;
  Moments moments_;
};

#endif

__global__ void __launch_bounds__(kThreads, 1)
    conv1d_gelu_kernel(const __grid_constant__ ConvolutionView view,
                       const __grid_constant__ ConvolutionMaps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte memory[];
  const uint32_t start = hopper::shared_address(memory);
  const uint32_t shared = (start + kAlignment - 1) / kAlignment * kAlignment;
  let_next_start();
  init_barriers(shared);
  if (threadIdx.x < kFeeder) {
    Group(view, shared).all();
  } else if (threadIdx.x < kFinishers) {
    Feeder(view, maps, shared).all();
  } else {
    Finisher(view, maps, shared).all();
  }
  hopper::sync_cluster();  // no block ends while the other may arrive at its barriers
#endif
}

TensorBoxes boxes_of_frames(const Conv1dGeluArgs& args) {
  return {.data = args.x,
          .cols = args.channels,
          .rows = args.frames,
          .items = args.items,
          .stride = args.channels,
          .item_stride = int64_t{args.frames} * args.channels,
          .box_cols = kColumns,
          .box_rows = kFrames,
          .row_step = args.stride};
}

/// Tiles of y, or of the positions as one item.
TensorBoxes boxes_of_tiles(const Conv1dGeluArgs& args, const void* data, int64_t items) {
  return {.data = data,
          .cols = args.weight.rows,
          .rows = args.frames_out(),
          .items = items,
          .stride = args.weight.rows,
          .item_stride = args.frames_out() * args.weight.rows,
          .box_cols = kChannels,
          .box_rows = kFrames};
}

bool divides_into_blocks(const Conv1dGeluArgs& args) {
  constexpr int kBoxRowsMax = 256;  // of a tensor map
  return args.weight.dtype == base::DType::kF16 && args.channels % kColumns == 0 &&
         args.weight.rows % kChannels == 0 &&
         args.weight.cols <= int64_t{kColumnBlocksMax} * kColumns &&
         kFrames * args.stride <= kBoxRowsMax;
}

}  // namespace

bool conv1d_gelu_wgmma(const OpContext& context, const Conv1dGeluArgs& args) {
  if (!device_traits().wgmma || !divides_into_blocks(args)) return false;
  const TensorBoxes frames = boxes_of_frames(args), y = boxes_of_tiles(args, args.y, args.items);
  const TensorBoxes positions =
      args.positions == nullptr ? y : boxes_of_tiles(args, args.positions, 1);
  if (!can_map(frames) || !can_map(y) || !can_map(positions)) return false;
  const ConvolutionView view{.args = args,
                             .frames_out = args.frames_out(),
                             .tiles = (args.frames_out() - 1) / kFrames + 1,
                             .chunks = static_cast<int32_t>(args.weight.rows / kChannels),
                             .panel_bytes = args.weight.cols * kPanelRows * 2,
                             .column_blocks = static_cast<int32_t>(args.weight.cols / kColumns)};
  const int64_t pairs = (int64_t{view.tiles} * args.items + kPair - 1) / kPair;
  const ConvolutionMaps maps{tensor_map(frames, 3), tensor_map(positions, 2), tensor_map(y, 3)};
  allow_shared(conv1d_gelu_kernel, kSharedBytes);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(pairs * kPair)),
          .block = dim3(kThreads),
          .shared_bytes = kSharedBytes,
          .cluster = kPair},
         conv1d_gelu_kernel, view, maps);
  return true;
}

}  // namespace neuros::kernels::cuda
