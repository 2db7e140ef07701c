#pragma once

/// Copies from global to shared memory that go on while a thread does other things. On Turing,
/// which has none, a copy is done when start_copy() returns.

#include <cstdint>

namespace neuros::kernels::cuda {

/// Brings the 128 bytes around an address to the second-level cache.
__device__ __forceinline__ void prefetch_line(const void* global) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(global));
}

/// Orders what this thread wrote to shared memory before copies that the copy engine starts there
/// later, after a barrier.
__device__ __forceinline__ void publish_to_copies() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

#if __CUDA_ARCH__ >= 800

/// 16 bytes, both aligned; not kept in the first-level cache.
__device__ __forceinline__ void start_copy(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(global)
               : "memory");
}
/// Ends a group of copies, which may be empty.
__device__ __forceinline__ void end_copy_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until all of this thread's groups but the newest `kNewest` have arrived.
template <int kNewest>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kNewest) : "memory");
}

#else

__device__ __forceinline__ void start_copy(void* shared, const void* global) {
  *static_cast<uint4*>(shared) = *static_cast<const uint4*>(global);
}
__device__ __forceinline__ void end_copy_group() {}
template <int kNewest>
__device__ __forceinline__ void wait_for_copies() {}

#endif

#if __CUDA_ARCH__ >= 800
/// Barriers in shared memory that copies arrive at themselves: `count` threads are to call
/// arrive_after_copies() for the end of a phase.
__device__ __forceinline__ void init_copy_barrier(uint32_t barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
/// Makes barriers that this thread initialised known to the copy engine, too.
__device__ __forceinline__ void publish_copy_barriers() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
__device__ __forceinline__ void arrive_at_copy_barrier(uint32_t barrier) {
  asm volatile(
      "{\n"
      ".reg .b64 state;\n"
      "mbarrier.arrive.shared.b64 state, [%0];\n"
      "}\n" ::"r"(barrier)
      : "memory");
}
/// Arrives once the copies that this thread has started are done. Does not wait.
__device__ __forceinline__ void arrive_after_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
}
/// Waits for the end of the phase of this parity; at once if it is the phase before the current
/// one.
__device__ __forceinline__ void wait_for_copy_barrier(uint32_t barrier, int parity) {
#if __CUDA_ARCH__ >= 900
#define NEUROS_WAIT "try_wait"
#else
#define NEUROS_WAIT "test_wait"
#endif
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier." NEUROS_WAIT
      ".parity.shared.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
#undef NEUROS_WAIT
}
#endif

}  // namespace neuros::kernels::cuda
