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
  return words.x != 0 && words.y != 0 && words.z != 0 && words.w != 0;
}

/// An element that was asked for before; asks again while it is missing.
__device__ __forceinline__ float await_word(const uint32_t* at, uint32_t word) {
  while (word == 0) word = ask_word(at);
  return from_word(word);
}

/// A thread's part of a row, zeros behind its end. Rows lie on boundaries of 16 bytes and have multiples of
/// four columns.
template <int kFours>
__device__ __forceinline__ void load_part(const StepRow& row, int first, int cols, int thread,
                                          RowPart<kFours>& part) {
  using Part = RowPart<kFours>;
  if (row.words == nullptr) return part.template load<true>(row.plain, first, cols, thread);
  uint4 words[kFours];
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
    words[i] = make_uint4(~0u, ~0u, ~0u, ~0u);
    if (Part::column(first, i, thread) < cols) words[i] = ask_words(row.words + Part::column(first, i, thread));
  }
  bool all;
  do {
    all = true;
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      if (are_there(words[i])) continue;
      words[i] = ask_words(row.words + Part::column(first, i, thread));
      all = false;
    }
  } while (!all);
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
    part.four[i] = {{from_word(words[i].x), from_word(words[i].y), from_word(words[i].z),
                     from_word(words[i].w)}};
  }
}

}  // namespace neuros::kernels::cuda
