#pragma once

/// The sums of many_halves.cuh: what the warpgroups of a block have of a tile, how it meets what
/// other blocks have of it, and how it becomes results.

#include "kernels/cuda/four_rows.cuh"
#include "kernels/cuda/halves_plan.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/meeting.cuh"
#include "kernels/cuda/store_pieces.cuh"

namespace neuros::kernels::cuda {

struct HalvesParameters {
  DecodeParameters of;
  ManyColumns columns;
  HalvesPlan plan;
  HalvesShared shared;
  int tiles = 0;
  float* left = nullptr;         ///< sums of a block's tile, one block's after another's
  uint32_t* meetings = nullptr;  ///< zeros before and after
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A block's part of the launch.
struct HalvesPart {
  int split, part;  ///< of how many parts of the columns, which one
  int height;       ///< panels of a tile, of both passes
  int first_tile, tile_step;

  __device__ __forceinline__ explicit HalvesPart(const HalvesParameters& p)
      : split(p.plan.split),
        part(static_cast<int>(blockIdx.x) % split),
        height(p.plan.panels * p.of.passes),
        first_tile(static_cast<int>(blockIdx.x) / split),
        tile_step(static_cast<int>(gridDim.x) / split) {}

  /// Quarters of the columns: [first_quarter(), end_quarter()).
  __device__ __forceinline__ int first_quarter() const { return part * kQuarters / split; }
  __device__ __forceinline__ int end_quarter() const { return (part + 1) * kQuarters / split; }

  static constexpr int kQuarters = 4;
};
/// What a thread has of 64 rows and 64 tokens: sum 4 n + i is of row lane / 4 + i / 2 * 8 of its
/// warp's 16 and token 8 n + lane % 4 * 2 + i % 2.
inline constexpr int kStripSums = 32;

/// The threads that multiply.
struct HalvesThreads {
  int count;  ///< whole warpgroups

  __device__ __forceinline__ void sync() const {
    asm volatile("bar.sync 1, %0;" ::"r"(count) : "memory");
  }
};

/// The sums of all warpgroups of a block and what becomes of them.
class HalvesSums {
 public:
  __device__ __forceinline__ HalvesSums(const HalvesParameters& p, std::byte* shared,
                                        HalvesThreads threads)
      : p_(p), part_(p), shared_(shared), threads_(threads) {}

  /// Adds a quarter's sums to those of its half, and these to the other half's. False: there are
  /// more to come, or another block goes on.
  __device__ __forceinline__ bool add_quarter(int tile, int quarter, float (&sums)[kStripSums]) {
    if (part_.split < 4 && quarter % 2 == 0) {
      keep(sums);
      return false;
    }
    if (part_.split < 4) add_kept(sums);
    const int block = static_cast<int>(blockIdx.x);
    if (part_.split > 1) return meet(tile, block, sums);
    if (quarter == 1) {
      leave(left_by(block), sums);
      return false;
    }
    add_left(left_by(block), sums);
    return true;
  }

  /// Writes the results of a tile: by panels, through shared memory.
  __device__ __forceinline__ void finish(int tile, const float (&sums)[kStripSums]) {
    threads_.sync();  // what was kept there has been read
    put_rows(sums);
    threads_.sync();
    const int warps = threads_.count / kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
    const int first = tile * p_.plan.panels, panels = min(p_.plan.panels, p_.of.panels - first);
    const int shares = warps / p_.plan.panels;  // of the tokens
    const int panel = warp % p_.plan.panels, share = warp / p_.plan.panels;
    if (panel < panels && share < shares) finish_panel(first, panel, share, shares);
    threads_.sync();  // before something is kept again
  }

 private:
  static constexpr int kQuads = kStripSums / 4;

  /// Where this thread's sums lie: quad i `threads_.count` quads after quad i - 1.
  __device__ __forceinline__ float4* kept() const {
    return reinterpret_cast<float4*>(shared_ + p_.shared.sums) + threadIdx.x;
  }
  __device__ __forceinline__ float4* left_by(int block) const {
    return reinterpret_cast<float4*>(p_.left) +
           static_cast<int64_t>(block) * (threads_.count * kQuads) + threadIdx.x;
  }

  __device__ __forceinline__ void keep(const float (&sums)[kStripSums]) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) kept()[i * threads_.count] = quad(sums, i);
  }
  __device__ __forceinline__ void add_kept(float (&sums)[kStripSums]) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) add(sums, i, kept()[i * threads_.count]);
  }
  __device__ __forceinline__ void leave(float4* to, const float (&sums)[kStripSums]) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) __stcg(to + i * threads_.count, quad(sums, i));
  }
  __device__ __forceinline__ void add_left(const float4* from, float (&sums)[kStripSums]) const {
    float4 other[kQuads];
#pragma unroll
    for (int i = 0; i < kQuads; ++i) other[i] = __ldcg(from + i * threads_.count);
#pragma unroll
    for (int i = 0; i < kQuads; ++i) add(sums, i, other[i]);
  }
  static __device__ __forceinline__ float4 quad(const float (&sums)[kStripSums], int i) {
    return make_float4(sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]);
  }
  static __device__ __forceinline__ void set(float (&sums)[kStripSums], int i, float4 quad) {
    sums[4 * i] = quad.x, sums[4 * i + 1] = quad.y;
    sums[4 * i + 2] = quad.z, sums[4 * i + 3] = quad.w;
  }
  static __device__ __forceinline__ void add(float (&sums)[kStripSums], int i, float4 other) {
    set(sums, i, added(quad(sums, i), other));
  }

  /// The blocks of a tile leave their sums; the last one adds all, in their order.
  __device__ __forceinline__ bool meet(int tile, int block, float (&sums)[kStripSums]) {
    const auto last = static_cast<uint32_t>(part_.split) - 1;
    uint32_t* const count = p_.meetings + tile;
    leave(left_by(block), sums);
    if (come(count) < last) return false;
    if (threadIdx.x == 0) *count = 0;
    const int first = block - part_.part;
    if (part_.split == 2) {
      add_others<2>(first, sums);
    } else {
      add_others<4>(first, sums);
    }
    return true;
  }
  template <int kSplit>
  __device__ __forceinline__ void add_others(int first, float (&sums)[kStripSums]) const {
    constexpr int kAtOnce = 4;
#pragma unroll
    for (int done = 0; done < kQuads; done += kAtOnce) {
      float4 parts[kSplit][kAtOnce];
#pragma unroll
      for (int i = 0; i < kSplit * kAtOnce; ++i) {
        const int part = i / kAtOnce, at = i % kAtOnce;
        parts[part][at] = __ldcg(left_by(first + part) + (done + at) * threads_.count);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        float4 sum = added(parts[0][i], parts[1][i]);
        if constexpr (kSplit == 4) sum = added(sum, added(parts[2][i], parts[3][i]));
        set(sums, done + i, sum);
      }
    }
  }
  /// How many blocks came before; what they left before can be read then.
  __device__ __forceinline__ uint32_t come(uint32_t* count) const {
    auto* const before = reinterpret_cast<volatile uint32_t*>(shared_ + HalvesShared::kWord);
    threads_.sync();
    if (threadIdx.x == 0) *before = come_to_meeting(count, 1);
    threads_.sync();
    return *before;
  }

  __device__ __forceinline__ float* row_sums(int token) const {
    return reinterpret_cast<float*>(shared_ + p_.shared.sums) + token * p_.shared.token_floats;
  }
  __device__ __forceinline__ void put_rows(const float (&sums)[kStripSums]) const {
    const int thread = thread_index(), lane = thread % kLanes;
    const int panel = thread / kLanes;  // a warp has one of the strip
    if (panel >= part_.height) return;
#pragma unroll
    for (int i = 0; i < kStripSums; ++i) {
      const int token = i / 4 * kTileTokens + lane % 4 * 2 + i % 2;
      row_sums(token)[panel * kPanelRows + lane / 4 + i % 4 / 2 * 8] = sums[i];
    }
  }

  /// A warp's share of the tokens of panel `panel` of the tile: eight at a time, four rows a lane.
  __device__ __forceinline__ void finish_panel(int first, int panel, int share, int shares) const {
    constexpr int kAtOnce = 4;  // what they need from L2 is under way together
    const int lane = thread_index() % kLanes, in_panel = lane % 4 * 4;
    const TaskPanel at = task_panel(p_.of, p_.of.passes - 1, first + panel);
    const FourRows rows(p_.of.tasks[at.task], at.panel * kPanelRows + in_panel);
    if (rows.is_empty()) return;
    const int place = panel * kPanelRows + in_panel;
    const auto token_of = [&](int i) { return kTileTokens * (share + i * shares) + lane / 4; };
    for (int done = 0; token_of(done) < p_.of.tokens; done += kAtOnce) {
      FourRows::Extras extras[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int token = token_of(done + i);
        if (token < p_.of.tokens) extras[i] = rows.extras(token);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int token = token_of(done + i);
        if (token >= p_.of.tokens) break;
        const float4 sums = scaled(four_sums(token, place), token);
        if (p_.of.passes == 1) {
          rows.store(token, rows.finished(sums, extras[i]));
          continue;
        }
        const float4 up = four_sums(token, place + p_.plan.panels * kPanelRows);
        const float4 results = rows.finished(scaled(up, token), {.gate = sums, .is_gated = true});
        if (p_.of.pieces.piece_bytes == 0) {
          rows.store(token, results);
        } else {
          store_in_pieces(token, at.panel * kPanelRows + in_panel, results);
        }
      }
    }
  }
  __device__ __forceinline__ void store_in_pieces(int token, int row, float4 results) const {
    const Four values{{results.x, results.y, results.z, results.w}};
    cuda::store_in_pieces<ActivationKind::kBF16>(p_.of.pieces, token, row, row + 1, values);
  }
  __device__ __forceinline__ float4 four_sums(int token, int place) const {
    return *reinterpret_cast<const float4*>(row_sums(token) + place);
  }
  __device__ __forceinline__ float4 scaled(float4 sums, int token) const {
    if (p_.of.prepared.scales == nullptr) return sums;
    const float scale = __ldcg(p_.of.prepared.scales + token);
    return make_float4(__fmul_rn(sums.x, scale), __fmul_rn(sums.y, scale), __fmul_rn(sums.z, scale),
                       __fmul_rn(sums.w, scale));
  }

  const HalvesParameters& p_;
  const HalvesPart part_;
  std::byte* shared_;
  const HalvesThreads threads_;
};

#endif

}  // namespace neuros::kernels::cuda
