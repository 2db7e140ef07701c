/// Encoder attention on Hopper, for heads of 64. A block is three warpgroups of 64 queries each,
/// which multiply by wgmma and make the softmax, and a warp that feeds them by tensor maps: queries
/// to one ring in shared memory, 128 keys with their values to another. Blocks stay and take tiles
/// of 192 queries in turn.
///
/// A warpgroup starts the scores of the next keys together with the product of this step's weights
/// and values, and makes the softmax of the scores while the tensor cores do the latter. The
/// warpgroups take turns in starting products, so that one's softmax runs beside the others'
/// products. Steps go on from one tile to the next without a pause: the scores of the next tile's
/// first keys are started with the last values of this one.
///
/// Softmax: of scores times scale * log2(e) (lazy_softmax.cuh); weights are rounded to f16.
///
/// Bounds, for 64 queries x 128 keys of 64: products, 1 M FMA at 2048 a cycle: 512 cycles. Powers:
/// 8192 at 16 a cycle: 512 cycles; two of eight are made by polynomials instead: 384. Instructions:
/// about 5.2 a score at 128 a cycle: 330. Shared memory: 8 KiB of queries, 16 + 16 KiB of keys and
/// values, 320 cycles at 128 B. L2: 32 KiB for three warpgroups, 21 B a cycle. So products and
/// powers set the time together: 512 cycles if all overlaps.

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/encoder_attention_view.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lazy_softmax.cuh"
#include "kernels/cuda/ring_place.cuh"
#include "kernels/cuda/tensor_map.h"
#include "kernels/cuda/turns.cuh"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

constexpr int kHeadDim = 64;
constexpr int kGroups = 3;
constexpr int kGroupThreads = 128;
constexpr int kGroupQueries = 64;
constexpr int kTileQueries = kGroups * kGroupQueries;
constexpr int kTileKeys = 128;
constexpr int kThreads = (kGroups + 1) * kGroupThreads;

/// Shared memory: the ring of keys and values, the ring of the queries, in rows of 128 bytes in the
/// 128-byte swizzle: [keys, head_dim]; which tiles the queries are; barriers of both rings and of
/// an item's last keys.
constexpr int kAlignment = 1024;  // of the swizzle
constexpr int kRowBytes = 2 * kHeadDim;
constexpr int kKeyBytes = kTileKeys * kRowBytes;
constexpr int kQueryBytes = kTileQueries * kRowBytes;
constexpr int kKeyStages = 4;
constexpr int kQueryStages = 2;
constexpr int kQueriesAt = kKeyStages * 2 * kKeyBytes;
constexpr int kTilesAt = kQueriesAt + kQueryStages * kQueryBytes;
constexpr int kKeyBarriers = kTilesAt + kQueryStages * int{sizeof(EncoderTile)};
constexpr int kQueryBarriers = kKeyBarriers + 16 * kKeyStages;
constexpr int kTailBarrier = kQueryBarriers + 16 * kQueryStages;
constexpr int kSharedBytes = kTailBarrier + 8 + kAlignment;

struct EncoderMaps {
  CUtensorMap q, k, v;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The registers of 512 threads x 128, dealt again: 384 x 160 + 128 x 32.
constexpr int kMultiplyRegisters = 160;
constexpr int kFeedRegisters = 32;

/// Keys, then values, of a step. Queries of a tile; after the last tile one that does not exist.
using KeyPlace = hopper::RingPlace<kKeyStages, 2 * kKeyBytes, 0, kKeyBarriers>;
using QueryPlace = hopper::RingPlace<kQueryStages, kQueryBytes, kQueriesAt, kQueryBarriers>;

/// What a place of the queries says of its tile.
__device__ __forceinline__ EncoderTile* tile_at(std::byte* memory, const QueryPlace& queries,
                                                uint32_t shared) {
  const uint32_t place = (queries.address() - shared - kQueriesAt) / kQueryBytes;
  return reinterpret_cast<EncoderTile*>(memory + kTilesAt) + place;
}

/// The feeding warp; all lanes wait, the first one copies.
class Feeder {
 public:
  __device__ __forceinline__ Feeder(const EncoderMaps& maps, std::byte* memory)
      : maps_(maps),
        memory_(memory),
        shared_(hopper::shared_address(memory)),
        keys_(shared_),
        queries_(shared_) {}

  /// All tiles of a block.
  __device__ __forceinline__ void feed(const EncoderView& view) {
    auto index = static_cast<int32_t>(blockIdx.x);
    while (true) {
      const EncoderTile tile = EncoderTile::find(view, index, kTileQueries);
      feed(tile);
      if (!tile.exists()) return;
      index += static_cast<int32_t>(gridDim.x);
    }
  }

 private:
  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  __device__ __forceinline__ void feed(const EncoderTile& tile) {
    queries_.wait_empty();
    if (lane() == 0) {
      *tile_at(memory_, queries_, shared_) = tile;
      if (tile.exists()) {
        hopper::arrive_and_expect(queries_.full(), kQueryBytes);
        hopper::copy_box(queries_.address(), &maps_.q, tile.head * kHeadDim,
                         tile.item_row + tile.first, queries_.full());
      } else {
        hopper::arrive(queries_.full());
      }
    }
    queries_.advance();
#pragma unroll 1
    for (int32_t start = 0; start < tile.item_rows; start += kTileKeys) {
      keys_.wait_empty();
      const int32_t rows = tile.item_rows - start;
      if (rows >= kTileKeys) {
        copy_keys(tile, start, keys_.full());
      } else {
        copy_last_keys(tile, start, rows);
      }
      keys_.advance();
    }
  }

  __device__ __forceinline__ void copy_keys(const EncoderTile& tile, int32_t start,
                                            uint32_t barrier) const {
    if (lane() != 0) return;
    const int column = tile.head * kHeadDim, row = tile.item_row + start;
    hopper::arrive_and_expect(barrier, 2 * kKeyBytes);
    hopper::copy_box(keys_.address(), &maps_.k, column, row, barrier);
    hopper::copy_box(keys_.address() + kKeyBytes, &maps_.v, column, row, barrier);
  }

  /// The keys after the item's end are the next item's: their weights are 0, but even so no
  /// infinity or NaN among their values may reach this item. Zeros take their place.
  __device__ __forceinline__ void copy_last_keys(const EncoderTile& tile, int32_t start,
                                                 int32_t rows) {
    const uint32_t barrier = shared_ + kTailBarrier;
    copy_keys(tile, start, barrier);
    hopper::wait(barrier, tail_phase_);
    tail_phase_ ^= 1;
    const uint32_t values = keys_.address() + kKeyBytes;
    for (int32_t at = rows * kRowBytes + lane() * 16; at < kKeyBytes; at += 32 * 16) {
      asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(values + at), "r"(0)
                   : "memory");
    }
    hopper::publish_shared();
    __syncwarp();
    if (lane() == 0) hopper::arrive(keys_.full());
  }

  const EncoderMaps& maps_;
  std::byte* memory_;
  uint32_t shared_;
  KeyPlace keys_;
  QueryPlace queries_;
  uint32_t tail_phase_ = 0;
};

/// Of eight blocks of eight keys, so many become powers by polynomials: the units for powers are as
/// busy as the tensor cores.
constexpr int kPolynomialsOf8 = 2;

/// 2^x for x <= kSlack to 2^-13.7 of itself by additions and multiplications alone: 2^(x - n) for
/// the nearest whole n by a polynomial (minimax, degree 3), n into the exponent. Below -126: about
/// 0.
__device__ __forceinline__ float power_by_polynomial(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: a sum's low bits are the whole number
  x = fmaxf(x, -126.0f);
  const float rounded = __fadd_rn(x, kRound);
  const float rest = __fsub_rn(x, __fsub_rn(rounded, kRound));
  float power = __fmaf_rn(rest, 0.05517167f, 0.24261112f);
  power = __fmaf_rn(rest, power, 0.69326099f);
  power = __fmaf_rn(rest, power, 0.99992807f);
  return __uint_as_float(__float_as_uint(power) + (__float_as_uint(rounded) << 23));
}

/// Of the lane's rows g and g + 8.
struct Softmax {
  LazySoftmax rows[2];
};

/// 64 queries of a warpgroup; a lane has rows g and g + 8 of its warp's 16.
struct Group {
  static constexpr int kScores = kTileKeys / 2;  ///< of a lane

  float scores[kScores];
  FragmentA weights[kTileKeys / 16];
  float out[kHeadDim / 2];
  Softmax softmax;

  __device__ __forceinline__ void start_scores(uint32_t queries, uint32_t keys) {
    const uint64_t a = hopper::swizzled_operand(queries), b = hopper::swizzled_operand(keys);
    hopper::settle(scores);
    hopper::fence_registers();
    // 16 columns are 32 bytes.
    hopper::multiply_shared_async<kTileKeys, false, hopper::Sums::kZero>(scores, a, b);
#pragma unroll
    for (int step = 1; step < kHeadDim / 16; ++step) {
      hopper::multiply_shared_async<kTileKeys, false>(scores, a + 2 * step, b + 2 * step);
    }
    hopper::commit_products();
  }

  __device__ __forceinline__ void start_values(uint32_t values) {
    hopper::settle(out);
    hopper::fence_registers();
#pragma unroll
    for (int step = 0; step < kTileKeys / 16; ++step) {
      const uint64_t b = hopper::swizzled_operand(values + step * (16 * kRowBytes));
      hopper::multiply_async<kHeadDim, false, true>(out, weights[step].x, b);
    }
    hopper::commit_products();
  }

  /// Removes the scores of keys from `rows` on.
  __device__ __forceinline__ void mask(int32_t rows) {
    const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
      if (n / 4 * 8 + 2 * t + n % 2 >= rows) scores[n] = kNoScore;
    }
  }

  /// From scores to weights in their place; `factors`: what former sums shrink by.
  __device__ __forceinline__ void weigh(float scale, float (&factors)[2]) {
    float largest[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float even = kNoScore, odd = kNoScore;
#pragma unroll
      for (int n = 2 * i; n < kScores; n += 4) {
        even = fmaxf(even, scores[n]);
        odd = fmaxf(odd, scores[n + 1]);
      }
      largest[i] = fmaxf(even, odd);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) factors[i] = softmax.rows[i].raise(quad_max(largest[i]) * scale);
    float sums[2][2] = {};
#pragma unroll
    for (int n = 0; n < kScores; ++n) {
      const int i = n % 4 / 2;
      const float x = __fmaf_rn(scores[n], scale, -softmax.rows[i].reference);
      const bool polynomial = n / 4 * kPolynomialsOf8 % 8 < kPolynomialsOf8;
      scores[n] = polynomial ? power_by_polynomial(x) : power_of_two(x);
      sums[i][n % 2] += scores[n];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) softmax.rows[i].sum += sums[i][0] + sums[i][1];
    hopper::settle(scores);  // before the wait for other products
  }

  __device__ __forceinline__ void rescale(const float (&factors)[2]) {
    if (!__any_sync(0xffffffffu, factors[0] != 1.0f || factors[1] != 1.0f)) return;
#pragma unroll
    for (int n = 0; n < kHeadDim / 2; ++n) out[n] *= factors[n % 4 / 2];
  }

  /// The products before must be done, as they may read `weights`.
  __device__ __forceinline__ void round() {
    hopper::settle(scores);
#pragma unroll
    for (int n = 0; n < kScores / 2; ++n) {
      weights[n / 4].x[n % 4] = pack(scores[2 * n], scores[2 * n + 1], __half{});
    }
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int n = 0; n < kHeadDim / 2; ++n) out[n] = 0.0f;
  }

  __device__ __forceinline__ void store(const EncoderView& view, const EncoderTile& tile,
                                        const Softmax& of) const {
    const int thread = static_cast<int>(threadIdx.x), t = thread % 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float inverse = __fdividef(1.0f, quad_sum(of.rows[i].sum));
      const int32_t query = tile.first + thread / 32 * 16 + thread % 32 / 4 + 8 * i;
      if (query >= tile.item_rows) continue;
      uint16_t* to = view.out + (tile.item_row + query) * view.out_stride + tile.head * kHeadDim;
#pragma unroll
      for (int n = 0; n < kHeadDim / 8; ++n) {
        *reinterpret_cast<uint32_t*>(to + 8 * n + 2 * t) =
            pack(out[4 * n + 2 * i] * inverse, out[4 * n + 2 * i + 1] * inverse, __half{});
      }
    }
  }
};

/// A warpgroup's way through all tiles of its block, as one row of steps. Between two steps it has
/// the weights of `tile_`'s keys at `keys_` in registers; their values are multiplied in the next.
class Walk {
 public:
  __device__ __forceinline__ Walk(const EncoderView& view, std::byte* memory)
      : view_(view),
        memory_(memory),
        keys_(shared()),
        queries_(shared()),
        turns_(static_cast<int>(threadIdx.x) / kGroupThreads) {}

  __device__ __forceinline__ void all() {
    begin();
#pragma unroll 1
    while (step()) {
    }
    group_.start_values(keys_.address() + kKeyBytes);
    hopper::wait_for_products<0>();
    hopper::settle(group_.out);
    group_.store(view_, tile_, group_.softmax);
  }

 private:
  __device__ __forceinline__ uint32_t shared() const {
    return hopper::shared_address(memory_);
  }
  __device__ __forceinline__ uint32_t own_queries() const {
    return queries_.address() + threadIdx.x / kGroupThreads * (kGroupQueries * kRowBytes);
  }

  /// The next tile with its queries; it may not exist.
  __device__ __forceinline__ EncoderTile next_tile() {
    queries_.wait_full();
    const EncoderTile tile = *tile_at(memory_, queries_, shared());
    left_ = tile.item_rows;
    return tile;
  }

  /// From the scores of the next keys to their weights, which wait for round().
  __device__ __forceinline__ void weigh() {
    hopper::settle(group_.scores);
    if (left_ < kTileKeys) group_.mask(left_);
    left_ -= kTileKeys;
    group_.weigh(view_.scale, factors_);
  }

  __device__ __forceinline__ void begin() {
    group_.clear();
    tile_ = next_tile();
    keys_.wait_full();
    turns_.take();
    group_.start_scores(own_queries(), keys_.address());
    turns_.give();
    hopper::wait_for_products<0>();
    weigh();
    group_.round();
  }

  /// False: there are no more keys.
  __device__ __forceinline__ bool step() {
    KeyPlace next = keys_;
    next.advance();
    const bool ends = left_ <= 0;
    EncoderTile following = tile_;
    if (ends) {
      hopper::release(queries_.empty());
      queries_.advance();
      following = next_tile();
      if (!following.exists()) return false;
    }
    next.wait_full();
    turns_.take();
    group_.start_scores(own_queries(), next.address());
    group_.start_values(keys_.address() + kKeyBytes);
    turns_.give();
    hopper::wait_for_products<1>();
    const Softmax former = group_.softmax;
    if (ends) group_.softmax = Softmax{};
    weigh();
    hopper::wait_for_products<0>();
    hopper::settle(group_.out);
    hopper::release(keys_.empty());
    if (ends) {
      group_.store(view_, tile_, former);
      group_.clear();
    } else {
      group_.rescale(factors_);
    }
    group_.round();
    keys_ = next;
    tile_ = following;
    return true;
  }

  const EncoderView& view_;
  std::byte* memory_;
  KeyPlace keys_;
  QueryPlace queries_;
  hopper::Turns<kGroups> turns_;
  Group group_;
  float factors_[2];
  EncoderTile tile_;
  int32_t left_ = 0;  ///< keys of the tile whose scores were not made yet
};

__device__ __forceinline__ void init_barriers(uint32_t shared) {
  constexpr uint32_t kReaders = kGroups * kGroupThreads / 32;
  if (threadIdx.x == 0) {
    KeyPlace::init(shared, kReaders);
    QueryPlace::init(shared, kReaders);
    hopper::init_barrier(shared + kTailBarrier, 1);
    hopper::publish_barriers();
  }
  __syncthreads();
}

#endif

__global__ void __launch_bounds__(kThreads, 1)
    encoder_attention_kernel(const __grid_constant__ EncoderView view,
                             const __grid_constant__ EncoderMaps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte memory[];
  const uint32_t unaligned = hopper::shared_address(memory) % kAlignment;
  std::byte* aligned = memory + (kAlignment - unaligned) % kAlignment;
  let_next_start();
  init_barriers(hopper::shared_address(aligned));
  wait_for_previous();
  if (threadIdx.x >= kGroups * kGroupThreads) {
    hopper::give_registers_back<kFeedRegisters>();
    if (threadIdx.x >= kGroups * kGroupThreads + 32) return;
    hopper::order_bulk_reads();
    Feeder(maps, aligned).feed(view);
  } else {
    hopper::take_registers<kMultiplyRegisters>();
    Walk(view, aligned).all();
  }
#endif
}

/// Rows of q, k or v, as boxes of one head.
TensorBoxes boxes_of(const EncoderView& view, const uint16_t* data, int64_t stride, int box_rows) {
  return {.data = data,
          .cols = int64_t{view.heads} * kHeadDim,
          .rows = view.starts[view.items],
          .stride = stride,
          .box_cols = kHeadDim,
          .box_rows = box_rows};
}

bool in_pairs(const EncoderView& view) {
  return reinterpret_cast<uintptr_t>(view.out) % 4 == 0 && view.out_stride % 2 == 0;
}

}  // namespace

bool encoder_attention_wgmma(const OpContext& context, const EncoderView& view) {
  const DeviceTraits traits = device_traits();
  if (!traits.wgmma || view.head_dim != kHeadDim || !in_pairs(view)) return false;
  const TensorBoxes q = boxes_of(view, view.q, view.q_stride, kTileQueries);
  const TensorBoxes k = boxes_of(view, view.k, view.k_stride, kTileKeys);
  const TensorBoxes v = boxes_of(view, view.v, view.v_stride, kTileKeys);
  if (!can_map(q) || !can_map(k) || !can_map(v)) return false;
  const EncoderMaps maps{tensor_map(q, 2), tensor_map(k, 2), tensor_map(v, 2)};
  const int tiles = EncoderTile::count(view, kTileQueries);
  allow_shared(encoder_attention_kernel, kSharedBytes);
  launch(context,
         {.grid = dim3(static_cast<unsigned>(std::min(tiles, traits.multiprocessors))),
          .block = dim3(kThreads),
          .shared_bytes = kSharedBytes},
         encoder_attention_kernel, view, maps);
  return true;
}

}  // namespace neuros::kernels::cuda
