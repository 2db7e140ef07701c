#pragma once

/// How a row gets from the blocks that compute it to those that read it: every element says itself
/// that it is there. A word of zeros is an element that is missing; the others are the inverted
/// bits of a float. A reader asks for the words it needs until none is zero. So nothing but an
/// element's own way through L2 lies between two phases: no barrier of all blocks, no fence, no
/// counter.
///
/// A launch writes every word of its set once, and clears the set that the launch before wrote.

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prepare.cuh"

#include <cstdint>

namespace neuros::kernels::cuda {

/// Where a row of floats comes from.
struct StepRow {
  const float* plain;     ///< written before this launch; where there are no words
  const uint32_t* words;  ///< written by this launch, or null
};

/// The word of an element. No float has all bits set, but for one of the NaNs.
__device__ __forceinline__ uint32_t to_word(float value) {
  constexpr uint32_t kNaN = 0x7fffffff;
  const uint32_t bits = __float_as_uint(value);
  return ~(bits == ~0u ? kNaN : bits);
}
__device__ __forceinline__ float from_word(uint32_t word) {
  return __uint_as_float(~word);
}

__device__ __forceinline__ void put_word(uint32_t* at, float value) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(at), "r"(to_word(value)) : "memory");
}
/// Zero: it is not there yet.
__device__ __forceinline__ uint32_t ask_word(const uint32_t* at) {
  uint32_t word;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(word) : "l"(at) : "memory");
  return word;
}
__device__ __forceinline__ uint4 ask_words(const uint32_t* at) {
  uint4 words;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "l"(at)
               : "memory");
  return words;
}
__device__ __forceinline__ bool are_there(uint4 words) {
  return min(min(words.x, words.y), min(words.z, words.w)) != 0;  // no branches
}

/// An element that was asked for before; asks again while it is missing. The lanes of a warp call
/// it together and leave it together; one that needs nothing gives a word that is not zero.
__device__ __forceinline__ float await_word(const uint32_t* at, uint32_t word) {
  while (__any_sync(0xffffffffu, word == 0)) {
    if (word == 0) word = ask_word(at);
  }
  return from_word(word);
}

/// A thread's part of a row from `first` on, as it was asked for: zeros behind the row's end.
template <int kFours>
struct AskedPart {
  uint4 words[kFours];
};
/// Rows lie on boundaries of 16 bytes and have multiples of four columns.
template <int kFours>
__device__ __forceinline__ AskedPart<kFours> ask_part(const StepRow& row, int first, int cols,
                                                      int thread) {
  using Part = RowPart<kFours>;
  AskedPart<kFours> asked;
#pragma unroll
  for (int i = 0; i < kFours; ++i) asked.words[i] = make_uint4(~0u, ~0u, ~0u, ~0u);
  if (row.words != nullptr) {
    const uint32_t* const words = row.words + Part::column(first, 0, thread);
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      if (Part::column(first, i, thread) < cols) {
        asked.words[i] = ask_words(words + Part::column(0, i, 0));
      }
    }
    return asked;
  }
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
    const int column = Part::column(first, i, thread);
    if (column >= cols) continue;
    const float4 x = __ldcg(reinterpret_cast<const float4*>(row.plain + column));
    asked.words[i] = make_uint4(to_word(x.x), to_word(x.y), to_word(x.z), to_word(x.w));
  }
  return asked;
}

/// The part when it is there. The lanes of a warp leave it together: apart they would execute apart
/// all that follows, up to the next barrier.
template <int kFours, int kAsked>
__device__ __forceinline__ RowPart<kFours> await_part(const StepRow& row, int first, int thread,
                                                      const AskedPart<kAsked>& asked) {
  static_assert(kFours <= kAsked);
  using Part = RowPart<kFours>;
  uint4 words[kFours];
#pragma unroll
  for (int i = 0; i < kFours; ++i) words[i] = asked.words[i];
  bool there[kFours];
  const auto are_all_there = [&] {
    bool all = true;
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      there[i] = are_there(words[i]);
      all &= there[i];
    }
    return all;
  };
  while (!__all_sync(0xffffffffu, are_all_there())) {
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      if (!there[i]) words[i] = ask_words(row.words + Part::column(first, i, thread));
    }
  }
  Part part;
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
    part.four[i] = {{from_word(words[i].x), from_word(words[i].y), from_word(words[i].z),
                     from_word(words[i].w)}};
  }
  return part;
}

}  // namespace neuros::kernels::cuda
