/// The convolution on Hopper, for f16 weights. A block has 128 frames of an item and, of all output
/// channels, 128 at a time: two warpgroups of 64 multiply by wgmma, weights from registers, frames
/// from shared memory; the first warp also starts the copies. The frames of a tap are a box of a
/// tensor map: nothing is gathered in memory, and frames outside the item come as zeros. The blocks
/// of a cluster have the same frames and divide the channels among them; at the end the first one
/// puts the statistics of the rows together. Two blocks share a multiprocessor, so that one's GELU
/// runs beside the other's products.
///
/// Sums are turned round in shared memory, 16 frames at a time, for rows to be read and written
/// along the channels. Mean and squares of deviations are those of 64 channels at first and are put
/// together by pairs (Chan et al., https://doi.org/10.1007/978-3-642-51461-6_3): no large numbers
/// cancel.
///
/// Bounds for 7 items of 1500 frames, 384 columns, 1280 channels: products, 5.2 G FMA at 2048 a
/// cycle on 132 multiprocessors: 19 k cycles. L2: 32 KiB for 128 channels x 128 frames x 64
/// columns, 161 MB in all, 1.2 MB a multiprocessor at about 30 B a cycle: 41 k cycles, which sets
/// the time. GELU and the writing: some 25 instructions for an element at 128 a cycle: 20 k cycles.
/// Device memory: 27 MB of y.

#include "kernels/cuda/attention_mma.cuh"
#include "kernels/cuda/conv1d_gelu_rows.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ring_place.cuh"
#include "kernels/cuda/tensor_map.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kFrames = 128;  ///< of a block
constexpr int kGroups = 2;
constexpr int kGroupThreads = 128;
constexpr int kGroupChannels = 64;
constexpr int kChannels = kGroups * kGroupChannels;  ///< of a step of a block
constexpr int kColumns = 64;                         ///< of a place in the ring
constexpr int kThreads = kGroups * kGroupThreads;
constexpr int kBlocksOfMultiprocessor = 2;
constexpr int kClusterMax = 8;

constexpr int kPanels = kChannels / kPanelRows;
constexpr int kPanelBytes = kPanelRows * kColumns * 2;  ///< of a panel in a place
constexpr int kFrameBytes = kColumns * 2;
constexpr int kFrameBlockBytes = kFrames * kFrameBytes;
constexpr int kPlaceBytes = kFrameBlockBytes + kPanels * kPanelBytes;
constexpr int kStages = 3;
constexpr int kAlignment = 1024;  // of the swizzle

constexpr int kSliceFrames = 16;
/// Of a frame's 64 sums; the padding makes the stores (banks 8 t + g) free of conflicts.
constexpr int kSliceStride = kGroupChannels + 4;

/// Mean of a row and sum of the squares of what is left, over some channels.
struct Moments {
  float mean = 0.0f;
  float squares = 0.0f;
};

/// Shared memory: the ring (frames, then weights), the slices of each warpgroup, its moments.
constexpr int kSlicesAt = kStages * kPlaceBytes;
constexpr int kSliceBytes = kSliceFrames * kSliceStride * 4;
constexpr int kMomentsAt = kSlicesAt + kGroups * kSliceBytes;
constexpr int kMomentsBytes = kFrames * int{sizeof(Moments)};
constexpr int kBarriers = kMomentsAt + kGroups * kMomentsBytes;
constexpr int kSharedBytes = kBarriers + 16 * kStages + kAlignment;

struct ConvolutionView {
  Conv1dGeluArgs args;
  int32_t frames_out = 0;
  int32_t tiles = 0;        ///< of an item
  int32_t cluster = 1;      ///< blocks that divide the channels
  int64_t panel_bytes = 0;  ///< of a whole panel
  int32_t column_blocks = 0;

  __host__ __device__ int32_t steps() const {
    return static_cast<int32_t>(args.weight.rows / kChannels);
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

using Place = hopper::RingPlace<kStages, kPlaceBytes, 0, kBarriers>;

/// A block's frames, and its part of the channels: every cluster-th step.
struct Work {
  int32_t item, first, rank;

  explicit __device__ __forceinline__ Work(const ConvolutionView& view) {
    const auto block = static_cast<int32_t>(blockIdx.x), tile = block / view.cluster;
    rank = block % view.cluster;
    item = tile / view.tiles;
    first = tile % view.tiles * kFrames;
  }
};

/// Fills the places of the ring for a block's steps, one after another, by one warp: lane 0 copies
/// the frames, the first eight a panel each.
class Feeder {
 public:
  __device__ __forceinline__ Feeder(const ConvolutionView& view, const CUtensorMap& frames,
                                    const Work& work, uint32_t shared)
      : view_(view), frames_(frames), work_(work), place_(shared), step_(work.rank) {}

  /// The next place, when all have released it; none after the last.
  __device__ __forceinline__ void feed() {
    if (step_ >= view_.steps()) return;
    const Conv1dGeluArgs& args = view_.args;
    const int lane = thread_index() % 32, tap_blocks = args.channels / kColumns;
    place_.wait_empty();
    if (lane == 0) {
      const int tap = block_ / tap_blocks;
      hopper::arrive_and_expect(place_.full(), kPlaceBytes);
      hopper::copy_box(place_.address(), &frames_, block_ % tap_blocks * kColumns,
                       work_.first * args.stride - args.padding + tap, work_.item, place_.full());
    }
    __syncwarp();
    if (lane < kPanels) {
      const std::byte* panel = args.weight.data + (step_ * kPanels + lane) * view_.panel_bytes;
      hopper::bulk_copy(place_.address() + kFrameBlockBytes + lane * kPanelBytes,
                        panel + block_ * int64_t{kPanelBytes}, kPanelBytes, place_.full());
    }
    place_.advance();
    if (++block_ < view_.column_blocks) return;
    block_ = 0;
    step_ += view_.cluster;
  }

 private:
  const ConvolutionView& view_;
  const CUtensorMap& frames_;
  const Work& work_;
  Place place_;
  int step_, block_ = 0;
};

constexpr int kStepBytes = 512;  ///< of a panel's 16 columns

/// The A operand of 16 columns from this warp's panel in shared memory. Packed weights have columns
/// in another order than the instruction (fragment_layout.h); in the natural one, which the frames
/// have, a lane's words are two pairs: columns 2t, 2t + 1 of rows g and g + 8 at 64 g + 8 t,
/// columns 2t + 8, 2t + 9 of both 32 bytes further on. Half of the lanes load the second pair
/// first, so that those of a half-warp are in different banks.
__device__ __forceinline__ void load_weights(uint32_t panel_step, uint32_t* a) {
  const uint32_t lane = threadIdx.x % 32;
  const bool swapped = lane / 8 % 2 != 0;
  const uint32_t at = panel_step + lane / 4 * 64 + lane % 4 * 8;
  uint32_t pairs[2][2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];"
                 : "=r"(pairs[i][0]), "=r"(pairs[i][1])
                 : "r"(at + ((i == 1) != swapped ? 32 : 0))
                 : "memory");
  }
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    a[row] = swapped ? pairs[1][row] : pairs[0][row];
    a[2 + row] = swapped ? pairs[0][row] : pairs[1][row];
  }
}

/// The lane's channels of a step, g and g + 8 of its warp, start with their bias.
__device__ __forceinline__ void start_sums(const Conv1dGeluArgs& args, int step,
                                           float (&sums)[kFrames / 2]) {
  const int index = thread_index();
  const int channel = step * kChannels + index / 32 * kPanelRows + index % 32 / 4;
  float bias[2] = {};
  if (args.bias != nullptr) {
    bias[0] = __ldg(args.bias + channel);
    bias[1] = __ldg(args.bias + channel + 8);
  }
#pragma unroll
  for (int i = 0; i < kFrames / 2; ++i) sums[i] = bias[i % 4 / 2];
}

/// sums += weights x frames: the lane's rows are the channels g and g + 8 of its warp, columns the
/// frames 8 j + 2 t and one more. The operands of two halves of a place alternate, as the products
/// of the half before may still read theirs; once those are done the place before is free, and the
/// first warp fills it again.
__device__ __forceinline__ void multiply(int blocks, Place& place, Feeder& feeder,
                                         float (&sums)[kFrames / 2]) {
  const uint32_t warp = threadIdx.x / 32, own = kFrameBlockBytes + warp * kPanelBytes;
  uint32_t a[2][8];
  uint32_t previous = 0;  // barrier of the place before this one
  const auto release = [&] {
    hopper::release(previous);
    if (warp == 0) feeder.feed();
  };
#pragma unroll 1
  for (int block = 0; block < blocks; ++block) {
    place.wait_full();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t weights = place.address() + own + half * (2 * kStepBytes);
      load_weights(weights, a[half]);
      load_weights(weights + kStepBytes, a[half] + 4);
      const uint64_t b = hopper::swizzled_operand(place.address() + half * 64);
      hopper::fence_registers();
      hopper::multiply_async<kFrames, false>(sums, a[half], b);
      hopper::multiply_async<kFrames, false>(sums, a[half] + 4, b + 2);
      hopper::commit_products();
      hopper::wait_for_products<1>();
      if (half == 0 && previous != 0) release();
    }
    previous = place.empty();
    place.advance();
  }
  hopper::wait_for_products<0>();
  hopper::settle(sums);
  release();
}

__device__ __forceinline__ float sum_of_eight_lanes(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  value += __shfl_xor_sync(0xffffffffu, value, 2);
  return value + __shfl_xor_sync(0xffffffffu, value, 4);
}

/// Moments of `count` channels and of `added` others together.
__device__ __forceinline__ Moments together(Moments a, float count, Moments b, float added) {
  const float distance = b.mean - a.mean, share = added / (count + added);
  return {a.mean + distance * share, a.squares + b.squares + distance * distance * count * share};
}

/// A warpgroup's 64 channels from `channel` on. A thread takes of one frame in 16 the channels
/// 4 p .. 4 p + 3 and 32 more, p < 8.
class Writer {
 public:
  __device__ __forceinline__ Writer(const ConvolutionView& view, const Work& work,
                                    std::byte* memory)
      : view_(view), work_(work), memory_(memory) {}

  /// `step`: of all; `done`: how many steps this block has written before.
  __device__ __forceinline__ void write(const float (&sums)[kFrames / 2], int step,
                                        int done) const {
#pragma unroll
    for (int from = 0; from < kFrames; from += kSliceFrames) {
      const int index = thread_index();
      // On their way while the sums are turned round.
      const uint2 positions[2]{load_positions(index, from, step, 0),
                               load_positions(index, from, step, 1)};
      sync(index);
      put(sums, index, from);
      sync(index);
      write_frame(index, from, step, positions, done);
    }
  }

 private:
  __device__ __forceinline__ static int group(int index) {
    return index / kGroupThreads;
  }
  __device__ __forceinline__ static void sync(int index) {
    hopper::sync_threads<kGroupThreads>(1 + group(index));
  }
  __device__ __forceinline__ float* slice(int index) const {
    return reinterpret_cast<float*>(memory_ + kSlicesAt + group(index) * kSliceBytes);
  }

  __device__ __forceinline__ void put(const float (&sums)[kFrames / 2], int index, int from) const {
    const int g = index % 32 / 4, t = index % 4, row = index % kGroupThreads / 32 * 16 + g;
    float* to = slice(index) + row;
#pragma unroll
    for (int j = 0; j < kSliceFrames / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int frame = 8 * j + 2 * t + i % 2;
        to[frame * kSliceStride + i / 2 * 8] = sums[from / 2 + 4 * j + i];
      }
    }
  }

  /// Where the thread's frame of a slice lies in positions, or in the item's y: the first or second
  /// four of its channels. Of frames past the end, the last one again.
  __device__ __forceinline__ int64_t place(int index, int from, int step, int half) const {
    const int32_t frame = min(frame_of(index, from), view_.frames_out - 1);
    const int channel = step * kChannels + group(index) * kGroupChannels + offset(index, half);
    return frame * view_.args.weight.rows + channel;
  }
  __device__ __forceinline__ int32_t frame_of(int index, int from) const {
    return work_.first + from + index % kGroupThreads / 8;
  }
  __device__ __forceinline__ static int offset(int index, int half) {
    return 4 * (index % 8) + 32 * half;
  }

  __device__ __forceinline__ uint2 load_positions(int index, int from, int step, int half) const {
    if (view_.args.positions == nullptr) return {0, 0};
    return __ldcg(
        reinterpret_cast<const uint2*>(view_.args.positions + place(index, from, step, half)));
  }

  __device__ __forceinline__ void write_frame(int index, int from, int step,
                                              const uint2 (&positions)[2], int done) const {
    const int64_t item = int64_t{work_.item} * view_.frames_out * view_.args.weight.rows;
    const float* sums = slice(index) + index % kGroupThreads / 8 * kSliceStride;
    float values[8];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 four = *reinterpret_cast<const float4*>(sums + offset(index, half));
      const uint2 bits = finish_four(four, positions[half]);
      if (frame_of(index, from) < view_.frames_out) {
        *reinterpret_cast<uint2*>(view_.args.y + item + place(index, from, step, half)) = bits;
      }
      const float2 low = unpack(bits.x, __half{}), high = unpack(bits.y, __half{});
      values[4 * half] = low.x, values[4 * half + 1] = low.y;
      values[4 * half + 2] = high.x, values[4 * half + 3] = high.y;
    }
    add_moments(values, index, from + index % kGroupThreads / 8, done);
  }

  /// GELU and position of four channels.
  __device__ __forceinline__ static uint2 finish_four(float4 sums, uint2 positions) {
    const float2 low = unpack(positions.x, __half{}), high = unpack(positions.y, __half{});
    return {pack(gelu(sums.x) + low.x, gelu(sums.y) + low.y, __half{}),
            pack(gelu(sums.z) + high.x, gelu(sums.w) + high.y, __half{})};
  }

  /// The 64 channels of a frame are in eight neighbouring lanes.
  __device__ __forceinline__ void add_moments(const float (&values)[8], int index, int frame,
                                              int done) const {
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += values[i];
    const float mean = sum_of_eight_lanes(sum) * (1.0f / kGroupChannels);
#pragma unroll
    for (int i = 0; i < 8; ++i) squares += (values[i] - mean) * (values[i] - mean);
    squares = sum_of_eight_lanes(squares);
    if (index % 8 != 0) return;
    auto* all = reinterpret_cast<Moments*>(memory_ + kMomentsAt + group(index) * kMomentsBytes);
    Moments moments{mean, squares};
    if (done > 0) {
      moments =
          together(all[frame], static_cast<float>(done * kGroupChannels), moments, kGroupChannels);
    }
    all[frame] = moments;
  }

  const ConvolutionView& view_;
  const Work& work_;
  std::byte* memory_;
};

/// How many steps a block of the cluster has.
__device__ __forceinline__ int steps_of(const ConvolutionView& view, int rank) {
  return (view.steps() - rank + view.cluster - 1) / view.cluster;
}

/// One thread a frame: the moments of all blocks of the cluster, in their order.
__device__ __forceinline__ void write_statistics(const ConvolutionView& view, const Work& work,
                                                 uint32_t shared) {
  const auto frame = static_cast<int32_t>(threadIdx.x);
  if (work.rank != 0 || frame >= kFrames || work.first + frame >= view.frames_out) return;
  Moments moments;
  float count = 0.0f;
  for (int rank = 0; rank < view.cluster; ++rank) {
    const auto added = static_cast<float>(steps_of(view, rank) * kGroupChannels);
    for (int group = 0; group < kGroups; ++group) {
      const uint32_t at = shared + kMomentsAt + group * kMomentsBytes +
                          static_cast<uint32_t>(frame) * uint32_t{sizeof(Moments)};
      const float2 part =
          hopper::load_from_block(hopper::address_in_block(at, static_cast<uint32_t>(rank)));
      moments = together(moments, count, {part.x, part.y}, added);
      count += added;
    }
  }
  const int64_t row = int64_t{work.item} * view.frames_out + work.first + frame;
  view.args.mean[row] = moments.mean;
  view.args.inverse_deviation[row] = 1.0f / sqrtf(moments.squares / count + view.args.epsilon);
}

__device__ __forceinline__ void convolve(const ConvolutionView& view, const CUtensorMap& frames,
                                         const Work& work, std::byte* memory) {
  const uint32_t shared = hopper::shared_address(memory);
  Place place(shared);
  Feeder feeder(view, frames, work, shared);
  if (threadIdx.x < 32) {
    hopper::order_bulk_reads();
    for (int i = 0; i < kStages; ++i) feeder.feed();
  }
  const Writer writer(view, work, memory);
  float sums[kFrames / 2];
#pragma unroll 1
  for (int done = 0; done < steps_of(view, work.rank); ++done) {
    const int step = work.rank + done * view.cluster;
    start_sums(view.args, step, sums);
    multiply(view.column_blocks, place, feeder, sums);
    writer.write(sums, step, done);
  }
}

#endif

__global__ void __launch_bounds__(kThreads, kBlocksOfMultiprocessor)
    conv1d_gelu_kernel(const __grid_constant__ ConvolutionView view,
                       const __grid_constant__ CUtensorMap frames) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte memory[];
  const uint32_t unaligned = hopper::shared_address(memory) % kAlignment;
  std::byte* aligned = memory + (kAlignment - unaligned) % kAlignment;
  const uint32_t shared = hopper::shared_address(aligned);
  let_next_start();
  if (threadIdx.x == 0) {
    Place::init(shared, kPanels);
    hopper::publish_barriers();
  }
  __syncthreads();
  wait_for_previous();
  const Work work(view);
  convolve(view, frames, work, aligned);
  hopper::sync_cluster();
  write_statistics(view, work, shared);
  hopper::sync_cluster();  // no block ends while its moments are read
#endif
}

/// How many blocks divide the channels: as many as make the busiest multiprocessor's share least.
int32_t choose_cluster(int64_t tiles, int64_t steps, int64_t multiprocessors) {
  int32_t best = 1;
  int64_t least = INT64_MAX;
  for (int32_t cluster = 1; cluster <= std::min<int64_t>(kClusterMax, steps); ++cluster) {
    const int64_t rounds = (tiles * cluster + multiprocessors - 1) / multiprocessors;
    const int64_t share = rounds * ((steps + cluster - 1) / cluster);
    if (share < least) best = cluster, least = share;
  }
  return best;
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 8 == 0;
}

}  // namespace

bool conv1d_gelu_wgmma(const OpContext& context, const Conv1dGeluArgs& args) {
  const DeviceTraits traits = device_traits();
  constexpr int kBoxRowsMax = 256;  // of a tensor map
  const TensorBoxes boxes{.data = args.x,
                          .cols = args.channels,
                          .rows = args.frames,
                          .items = args.items,
                          .stride = args.channels,
                          .item_stride = int64_t{args.frames} * args.channels,
                          .box_cols = kColumns,
                          .box_rows = kFrames,
                          .row_step = args.stride};
  if (!traits.wgmma || args.weight.dtype != base::DType::kF16) return false;
  if (args.channels % kColumns != 0 || args.weight.rows % kChannels != 0) return false;
  if (kFrames * args.stride > kBoxRowsMax || !can_map(boxes)) return false;
  if (!is_aligned(args.y) || !is_aligned(args.positions)) return false;
  ConvolutionView view{.args = args,
                       .frames_out = args.frames_out(),
                       .tiles = (args.frames_out() - 1) / kFrames + 1,
                       .panel_bytes = args.weight.cols * kPanelRows * 2,
                       .column_blocks = static_cast<int32_t>(args.weight.cols / kColumns)};
  const int64_t tiles = int64_t{view.tiles} * args.items;
  view.cluster = choose_cluster(tiles, view.steps(), traits.multiprocessors);
  allow_shared(conv1d_gelu_kernel, kSharedBytes);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(tiles * view.cluster)),
          .block = dim3(kThreads),
          .shared_bytes = kSharedBytes,
          .cluster = static_cast<unsigned>(view.cluster)},
         conv1d_gelu_kernel, view, tensor_map(boxes, 3));
  return true;
}

}  // namespace neuros::kernels::cuda
