#pragma once

/// The greatest of a block's logits: as keys that order them, by halving the range of keys.

#include "kernels/top_logits.h"

#include <cfloat>
#include <cstdint>

namespace neuros::kernels::cuda {

/// Greater for a greater logit, and for the lower id of equal ones; never 0. No two are equal.
__device__ __forceinline__ uint64_t key_of(float logit, int32_t id) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);  // -0 and 0 are equal
  const uint32_t ordered = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | ~static_cast<uint32_t>(id);
}
__device__ __forceinline__ float logit_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered >> 31 != 0 ? ordered & 0x7fffffffu : ~ordered);
}
__device__ __forceinline__ int32_t id_of(uint64_t key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

/// What a group without members has for its greatest key (0) is below every logit.
__device__ __forceinline__ float greatest_of(uint64_t key) {
  return fmaxf(logit_of(key), -FLT_MAX);
}

/// How many keys a bound should leave.
struct Wanted {
  int32_t least, most;
};

/// A bound in [from, to) that wanted.least to wanted.most keys reach; `from` where fewer do.
/// `count(key)`, by all threads of the block, is how many keys are at least `key`; every thread
/// gets the same.
template <typename Count>
__device__ uint64_t find_bound(uint64_t from, uint64_t to, Wanted wanted, Count count) {
  uint64_t low = from, high = to;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    const int32_t reached = count(middle);
    if (reached < wanted.least) {
      high = middle;
      continue;
    }
    low = middle;
    if (reached <= wanted.most) break;
  }
  return low;
}

/// Keys in no order, in shared memory.
struct Candidates {
  static constexpr int32_t kMost = 1024;
  alignas(16) uint64_t keys[kMost];
  int32_t count;  ///< of the keys found; more than kMost are not all stored
};

/// A logit of the row, or none: of a negative id.
struct OwnLogit {
  float logit;
  int32_t id;

  __device__ __forceinline__ uint64_t key() const { return id < 0 ? 0 : key_of(logit, id); }
};

/// Stores the keys that reach `bound`. `logits.at(round)`, for round < logits.rounds and a bit
/// beyond, is one that is the thread's own: it comes from afar, so that several are on their way
/// before the first is looked at. A block is few threads for so many: what is below the bound, as
/// almost all of them are, costs one comparison.
template <typename Logits>
__device__ void gather(const Logits& logits, uint64_t bound, Candidates& candidates) {
  constexpr int kAtOnce = 10;
  if (threadIdx.x == 0) candidates.count = 0;
  __syncthreads();
  const float least = logit_of(bound);  // NaN where all are wanted
  for (int32_t round = 0; round < logits.rounds; round += kAtOnce) {
    OwnLogit own[kAtOnce];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) own[n] = logits.at(round + n);
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      if (own[n].logit < least) continue;
      const uint64_t key = own[n].key();
      if (key < bound) continue;
      const int32_t place = atomicAdd(&candidates.count, 1);
      if (place < Candidates::kMost) candidates.keys[place] = key;
    }
  }
  __syncthreads();
}

/// Stores the keys that reach `bound`, which at least `wanted` do; where those are too many, the
/// greatest, `wanted` or more.
template <typename Logits>
__device__ void collect(const Logits& logits, uint64_t bound, int32_t wanted,
                        Candidates& candidates) {
  gather(logits, bound, candidates);
  if (candidates.count <= Candidates::kMost) return;
  const auto count = [&](uint64_t least) {
    int32_t reached = 0;
    for (int32_t round = 0; round < logits.rounds; ++round) {
      reached += __syncthreads_count(logits.at(round).key() >= least);
    }
    return reached;
  };
  gather(logits, find_bound(bound, ~uint64_t{0}, {wanted, Candidates::kMost}, count), candidates);
}

/// Writes the `wanted` greatest candidates to `best`, in order. Four threads a candidate: its place
/// is how many are greater, of which each counts a quarter.
__device__ inline void put_in_order(const Candidates& candidates, int32_t wanted, TopLogit* best) {
  constexpr int kShare = 4, kAtOnce = 2;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t count = candidates.count, at_once = static_cast<int32_t>(blockDim.x) / kShare;
  const auto* const pairs = reinterpret_cast<const ulonglong2*>(candidates.keys);
  for (int32_t first = 0; first < count; first += at_once) {
    const int32_t index = first + thread / kShare;
    const uint64_t own = index < count ? candidates.keys[index] : 0;
    int32_t place = 0;
#pragma unroll 4
    for (int32_t i = thread % kShare * kAtOnce; i < count; i += kShare * kAtOnce) {
      const ulonglong2 two = pairs[i / kAtOnce];
      place += (two.x > own ? 1 : 0) + (two.y > own && i + 1 < count ? 1 : 0);
    }
    place += __shfl_xor_sync(0xffffffffu, place, 1);
    place += __shfl_xor_sync(0xffffffffu, place, 2);
    if (index < count && place < wanted && thread % kShare == 0) {
      best[place].logit = logit_of(own);
      best[place].id = id_of(own);
    }
  }
  __syncthreads();
}

}  // namespace neuros::kernels::cuda
