#pragma once

/// How the last of several blocks finds out that it is the last.

#include <cstdint>

namespace neuros::kernels::cuda {

/// Adds `weight` to what those that came before have added, and returns that. By one thread, after
/// a barrier of the threads whose writes count: who finds all others' weights there, and threads
/// that pass a barrier with it afterwards, read what those wrote. One step that releases and
/// acquires: with a fence before it and another one behind, the thread would wait three times.
__device__ __forceinline__ uint32_t come_to_meeting(uint32_t* meeting, uint32_t weight) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(meeting), "r"(weight)
               : "memory");
  return before;
}

}  // namespace neuros::kernels::cuda
