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
  uint64_t keys[kMost];
  int32_t count;  ///< of the keys found; more than kMost are not all stored
};

/// Some of a row's logits: `id_at(i)`, 0 <= i < size, is which; past the row's end: none.
template <typename IdAt>
struct SomeLogits {
  const float* row;
  int32_t vocabulary;
  IdAt id_at;
  int32_t size;

  /// Of the thread's logits first, first + blockDim.x, ...; 0 for those that there are not. All are
  /// on their way before the first is looked at: no branch hangs on any.
  template <int kCount>
  __device__ void keys(int32_t first, uint64_t (&keys)[kCount]) const {
    int32_t ids[kCount];
    float logits[kCount];
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
      const int32_t i = first + n * static_cast<int32_t>(blockDim.x);
      const int32_t id = id_at(min(i, size - 1));
      ids[n] = i < size ? id : vocabulary;
      logits[n] = row[min(id, vocabulary - 1)];
    }
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
      keys[n] = ids[n] < vocabulary ? key_of(logits[n], ids[n]) : 0;
    }
  }
};

/// Stores the keys that reach `bound`.
template <typename IdAt>
__device__ void gather(const SomeLogits<IdAt>& some, uint64_t bound, Candidates& candidates) {
  constexpr int kAtOnce = 10;
  if (threadIdx.x == 0) candidates.count = 0;
  __syncthreads();
  const auto step = kAtOnce * static_cast<int32_t>(blockDim.x);
  for (auto first = static_cast<int32_t>(threadIdx.x); first < some.size; first += step) {
    uint64_t keys[kAtOnce];
    some.keys(first, keys);
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      if (keys[n] < bound) continue;
      const int32_t place = atomicAdd(&candidates.count, 1);
      if (place < Candidates::kMost) candidates.keys[place] = keys[n];
    }
  }
  __syncthreads();
}

/// Stores the keys that reach `bound`, which at least `wanted` do; where those are too many, the
/// greatest, `wanted` or more.
template <typename IdAt>
__device__ void collect(const SomeLogits<IdAt>& some, uint64_t bound, int32_t wanted,
                        Candidates& candidates) {
  gather(some, bound, candidates);
  if (candidates.count <= Candidates::kMost) return;
  const auto count = [&](uint64_t least) {
    int32_t reached = 0;
    for (int32_t first = 0; first < some.size; first += static_cast<int32_t>(blockDim.x)) {
      uint64_t key[1];
      some.keys(first + static_cast<int32_t>(threadIdx.x), key);
      reached += __syncthreads_count(key[0] >= least);
    }
    return reached;
  };
  gather(some, find_bound(bound, ~uint64_t{0}, {wanted, Candidates::kMost}, count), candidates);
}

/// Writes the `wanted` greatest candidates to `best`, in order. Four threads a candidate: its place
/// is how many are greater, of which each counts a quarter.
__device__ inline void put_in_order(const Candidates& candidates, int32_t wanted, TopLogit* best) {
  constexpr int kShare = 4;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t count = candidates.count, at_once = static_cast<int32_t>(blockDim.x) / kShare;
  for (int32_t first = 0; first < count; first += at_once) {
    const int32_t index = first + thread / kShare;
    const uint64_t own = index < count ? candidates.keys[index] : 0;
    int32_t place = 0;
#pragma unroll 4
    for (int32_t i = thread % kShare; i < count; i += kShare) {
      place += candidates.keys[i] > own ? 1 : 0;
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
