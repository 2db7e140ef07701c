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

/// A bound at or above `from` that wanted.least to wanted.most keys reach; `from` where fewer do.
/// `count(key)`, by all threads of the block, is how many keys are at least `key`; every thread
/// gets the same.
template <typename Count>
__device__ uint64_t find_bound(uint64_t from, Wanted wanted, Count count) {
  uint64_t low = from, high = ~uint64_t{0};
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
  uint64_t keys[kMost];
  int32_t count;  ///< of the keys found; more than kMost are not all stored
};

/// Stores the keys [0, size) that reach `bound`.
template <typename KeyAt>
__device__ void gather(KeyAt key_at, int32_t size, uint64_t bound, Candidates& candidates) {
  if (threadIdx.x == 0) candidates.count = 0;
  __syncthreads();
#pragma unroll 4
  for (auto i = static_cast<int32_t>(threadIdx.x); i < size;
       i += static_cast<int32_t>(blockDim.x)) {
    const uint64_t key = key_at(i);
    if (key < bound) continue;
    const int32_t place = atomicAdd(&candidates.count, 1);
    if (place < Candidates::kMost) candidates.keys[place] = key;
  }
  __syncthreads();
}

/// Stores the keys [0, size) that reach `bound`, which at least `wanted` do; where those are too
/// many, the greatest, `wanted` or more.
template <typename KeyAt>
__device__ void collect(KeyAt key_at, int32_t size, uint64_t bound, int32_t wanted,
                        Candidates& candidates) {
  gather(key_at, size, bound, candidates);
  if (candidates.count <= Candidates::kMost) return;
  const uint64_t higher = find_bound(bound, {wanted, Candidates::kMost}, [&](uint64_t least) {
    int32_t reached = 0;
    for (int32_t first = 0; first < size; first += static_cast<int32_t>(blockDim.x)) {
      const int32_t i = first + static_cast<int32_t>(threadIdx.x);
      reached += __syncthreads_count(i < size && key_at(i) >= least);
    }
    return reached;
  });
  gather(key_at, size, higher, candidates);
}

/// Writes the `wanted` greatest candidates to `best`, in order. A thread a candidate: its place is
/// how many are greater.
__device__ inline void put_in_order(const Candidates& candidates, int32_t wanted, TopLogit* best) {
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t count = candidates.count;
  if (thread < count) {
    const uint64_t own = candidates.keys[thread];
    int32_t place = 0;
    for (int32_t i = 0; i < count; ++i) place += candidates.keys[i] > own ? 1 : 0;
    if (place < wanted) {
      best[place].logit = logit_of(own);
      best[place].id = id_of(own);
    }
  }
  __syncthreads();
}

}  // namespace neuros::kernels::cuda
