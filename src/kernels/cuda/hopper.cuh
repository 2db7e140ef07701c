#pragma once

/// Hopper's instructions (sm_90a) that its kernels are made of: barriers in shared memory, bulk
/// copies, and matrix products by a warpgroup. PTX ISA: "mbarrier", "cp.async.bulk",
/// "Asynchronous Warpgroup Level Matrix Instructions".

#include <cstddef>
#include <cstdint>

namespace neuros::kernels::cuda::hopper {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

/// A barrier completes a phase when `count` arrivals and all expected bytes are there.
__device__ __forceinline__ void init_barrier(uint32_t barrier, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
/// Makes initialised barriers visible to the copy engine.
__device__ __forceinline__ void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// At the barrier in the same place of another block of the cluster; says that what was read may be
/// overwritten. It orders no writes between the blocks: that would be a fence, which takes longer
/// than the products of a step.
__device__ __forceinline__ void arrive_at_block(uint32_t barrier, uint32_t block) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}\n" ::"r"(barrier),
      "r"(block)
      : "memory");
}
/// The same, after what this thread wrote and saw: who waits by wait_for_blocks() sees that.
__device__ __forceinline__ void publish_to_block(uint32_t barrier, uint32_t block) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n"
      "}\n" ::"r"(barrier),
      "r"(block)
      : "memory");
}
__device__ __forceinline__ void arrive_and_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
/// Waits for the end of the phase of this parity; at once if it is the phase before the current
/// one.
__device__ __forceinline__ void wait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// The same for a barrier at which other blocks of the cluster arrive by publish_to_block().
__device__ __forceinline__ void wait_for_blocks(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// Whether wait() would return at once. Lanes may see it at different times.
__device__ __forceinline__ bool is_over(uint32_t barrier, uint32_t parity) {
  uint32_t over;
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 over, [%1], %2;\n"
      "selp.u32 %0, 1, 0, over;\n"
      "}\n"
      : "=r"(over)
      : "r"(barrier), "r"(parity)
      : "memory");
  return over != 0;
}

/// Lets matrix products read what this thread wrote to shared memory by other means than bulk
/// copies; before a barrier.
__device__ __forceinline__ void publish_shared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/// Lets bulk copies read what ordinary stores wrote to device memory, as far as this thread sees
/// it.
__device__ __forceinline__ void order_bulk_reads() {
  asm volatile("fence.proxy.async.global;" ::: "memory");
}
/// Copies to shared memory; the barrier counts the bytes. Addresses and size in units of 16 bytes.
__device__ __forceinline__ void bulk_copy(uint32_t to, const std::byte* from, uint32_t bytes,
                                          uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}
/// How lines are kept in L2 that nobody will read again.
__device__ __forceinline__ uint64_t evict_first_policy() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
/// bulk_copy() of what lies in L2 by `policy` from then on.
__device__ __forceinline__ void bulk_copy(uint32_t to, const std::byte* from, uint32_t bytes,
                                          uint32_t barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}
/// The same to each block of a cluster that `blocks` has a bit for: to the same place in its shared
/// memory, counted by its barrier at the same place.
__device__ __forceinline__ void bulk_copy_to_blocks(uint32_t to, const std::byte* from,
                                                    uint32_t bytes, uint32_t barrier,
                                                    uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "h"(blocks)
      : "memory");
}
/// Copies the box of a tensor map (tensor_map.h) whose first element is at (x, y), or (x, y, z);
/// what of it is outside the tensor comes as zeros and is counted all the same.
__device__ __forceinline__ void copy_box(uint32_t to, const void* map, int x, int y,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}
__device__ __forceinline__ void copy_box(uint32_t to, const void* map, int x, int y, int z,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
      : "memory");
}
/// Copies from shared memory to the box of a tensor map whose first element is at (x, y, z); what
/// of it is outside the tensor is left out. Part of this thread's next commit_stores().
__device__ __forceinline__ void store_box(const void* map, int x, int y, int z, uint32_t from) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(
          map),
      "r"(x), "r"(y), "r"(z), "r"(from)
      : "memory");
}
__device__ __forceinline__ void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// Until what this thread's stores copy has been read and may be overwritten.
__device__ __forceinline__ void wait_for_store_reads() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}
/// Brings a tensor map, a parameter of the kernel, to where copies look for it.
__device__ __forceinline__ void prefetch_map(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
/// Asks for a range to be brought to L2. Address and size in units of 16 bytes.
__device__ __forceinline__ void prefetch_to_l2(const std::byte* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}

/// 16 bytes of shared memory.
__device__ __forceinline__ uint4 load_16(uint32_t address) {
  uint4 x;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "r"(address)
               : "memory");
  return x;
}
/// Four 8 x 8 matrices of 16-bit numbers in shared memory, rows of 16 bytes: `row` of lane 8 i + r
/// is the address of row r of matrix i. Of each one lane 4 g + t has column g, rows 2 t, 2 t + 1.
__device__ __forceinline__ void load_columns(uint32_t row, uint32_t (&x)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void store_columns(uint32_t row, const uint32_t (&x)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3])
               : "memory");
}

/// This block's number in its cluster.
__device__ __forceinline__ uint32_t block_in_cluster() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
/// Where `address` of this block's shared memory is in that of another block of the cluster.
__device__ __forceinline__ uint32_t address_in_block(uint32_t address, uint32_t block) {
  uint32_t out;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(out) : "r"(address), "r"(block));
  return out;
}
/// From an address_in_block().
__device__ __forceinline__ float2 load_from_block(uint32_t address) {
  float2 out;
  asm volatile("ld.shared::cluster.v2.f32 {%0, %1}, [%2];"
               : "=f"(out.x), "=f"(out.y)
               : "r"(address)
               : "memory");
  return out;
}
/// A barrier of all threads of the cluster.
__device__ __forceinline__ void sync_cluster() {
  __syncwarp();
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// What lies at this block's `address` in the shared memory of another block of the cluster.
__device__ __forceinline__ float4 load_from_block(uint32_t address, uint32_t block) {
  float4 value;
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %4, %5;\n"
      "ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [remote];\n"
      "}\n"
      : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
      : "r"(address), "r"(block)
      : "memory");
  return value;
}

template <int kRegisters>
__device__ __forceinline__ void give_registers_back() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// A barrier of `kThreads` of the block's threads; ids from 1.
template <int kThreads>
__device__ __forceinline__ void sync_threads(int id) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "n"(kThreads) : "memory");
}
/// Counts as this thread's part of a sync_threads() of the same id, without waiting.
template <int kThreads>
__device__ __forceinline__ void arrive_threads(int id) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "n"(kThreads) : "memory");
}

/// Orders earlier accesses of operand and sum registers before the next products.
__device__ __forceinline__ void fence_registers() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until all but the kPending latest committed groups are done.
template <int kPending>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Keeps what is computed from sums after the wait for them.
template <int kCount>
__device__ __forceinline__ void settle(float (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

/// Descriptor of an operand whose rows of 128 bytes lie one after another in the 128-byte swizzle
/// (PTX ISA, "Matrix-Descriptor Format"): address in units of 16 bytes, bits 0 .. 13; 1024 bytes
/// from 8 rows to the next, bits 32 .. 45; swizzle mode 1, bits 62 .. 63. The hardware swizzles the
/// address it computes.
///
/// Rows are the tokens (of an A operand its rows): `address` is a multiple of 1024, plus 32 for
/// every 16 columns into the rows. Transposed, rows are the columns: a multiple of 1024, rows hold
/// 64 tokens, and the next 64 tokens are `next_tokens` bytes further on, bits 16 .. 29.
__device__ __forceinline__ uint64_t swizzled_operand(uint32_t address, uint32_t next_tokens = 16) {
  constexpr uint64_t kFixed = (uint64_t{1} << 62) | (uint64_t{1024 >> 4} << 32);
  return kFixed | (uint64_t{next_tokens >> 4} << 16) | ((address & 0x3ffff) >> 4);
}

/// Descriptor of an A operand of 64 rows as 16-bit weights are packed (fragment_layout.h): no
/// swizzle, bits 62 .. 63; a piece from 8 columns to the next 8, bits 16 .. 29; bits 32 .. 45 from
/// 8 rows to the next. `address` is a multiple of 16, the first row's, plus 256 for every 16
/// columns into the chunk.
__device__ __forceinline__ uint64_t packed_operand(uint32_t address, uint32_t next_columns,
                                                   uint32_t next_rows) {
  return (uint64_t{next_rows >> 4} << 32) | (uint64_t{next_columns >> 4} << 16) |
         ((address & 0x3ffff) >> 4);
}

// Sums are in-out operands of the instruction, all of them.
#define NEUROS_SUMS_8(d, i)                                                                   \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define NEUROS_SUMS_32(d) \
  NEUROS_SUMS_8(d, 0), NEUROS_SUMS_8(d, 8), NEUROS_SUMS_8(d, 16), NEUROS_SUMS_8(d, 24)
#define NEUROS_SUMS_48(d) NEUROS_SUMS_32(d), NEUROS_SUMS_8(d, 32), NEUROS_SUMS_8(d, 40)
#define NEUROS_SUMS_64(d) NEUROS_SUMS_48(d), NEUROS_SUMS_8(d, 48), NEUROS_SUMS_8(d, 56)
#define NEUROS_SUMS_128(d)                                                                      \
  NEUROS_SUMS_64(d), NEUROS_SUMS_8(d, 64), NEUROS_SUMS_8(d, 72), NEUROS_SUMS_8(d, 80),          \
      NEUROS_SUMS_8(d, 88), NEUROS_SUMS_8(d, 96), NEUROS_SUMS_8(d, 104), NEUROS_SUMS_8(d, 112), \
      NEUROS_SUMS_8(d, 120)
#define NEUROS_NAMES_32                                                  \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15" \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NEUROS_NAMES_48 \
  NEUROS_NAMES_32       \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define NEUROS_NAMES_64 \
  NEUROS_NAMES_48       \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NEUROS_NAMES_128                                                                         \
  NEUROS_NAMES_64                                                                                \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, " \
  "%127"
// Half as many sums a lane as tokens.
#define NEUROS_WGMMA(tokens, sums, type, a_names, b_names)                                    \
  "wgmma.mma_async.sync.aligned.m64n" tokens "k16.f32." type "." type " {" sums "}, " a_names \
  ", " b_names
#define NEUROS_WGMMA_N64(type, d, a, b, add, transposed)                                        \
  asm volatile(                                                                                 \
      NEUROS_WGMMA("64", NEUROS_NAMES_32, type, "{%32, %33, %34, %35}", "%36, %37, 1, 1, %38;") \
      : NEUROS_SUMS_32(d)                                                                       \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(add), "n"(transposed))
#define NEUROS_WGMMA_N96(type, d, a, b)                                                     \
  asm volatile(                                                                             \
      NEUROS_WGMMA("96", NEUROS_NAMES_48, type, "{%48, %49, %50, %51}", "%52, 1, 1, 1, 0;") \
      : NEUROS_SUMS_48(d)                                                                   \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define NEUROS_WGMMA_N128(type, d, a, b, transposed)                                           \
  asm volatile(                                                                                \
      NEUROS_WGMMA("128", NEUROS_NAMES_64, type, "{%64, %65, %66, %67}", "%68, 1, 1, 1, %69;") \
      : NEUROS_SUMS_64(d)                                                                      \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(transposed))
#define NEUROS_WGMMA_N256(type, d, a, b)                                                           \
  asm volatile(                                                                                    \
      NEUROS_WGMMA("256", NEUROS_NAMES_128, type, "{%128, %129, %130, %131}", "%132, 1, 1, 1, 0;") \
      : NEUROS_SUMS_128(d)                                                                         \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
// a from shared memory; the sums start at zero if `add` is 0.
#define NEUROS_WGMMA_SHARED(tokens, count, type, d, a, b, add, a_name, b_name, add_name) \
  asm volatile(NEUROS_WGMMA(tokens, NEUROS_NAMES_##count, type, a_name,                  \
                            b_name ", " add_name ", 1, 1, 0, 0;")                        \
               : NEUROS_SUMS_##count(d)                                                  \
               : "l"(a), "l"(b), "n"(add))

/// Where the sums of a product start.
enum class Sums { kZero, kAdd };

/// d = a b or d += a b for 64 rows x kTokens tokens and 16 columns, asynchronously: a and d must
/// not be touched before wait_for_products(). a: this lane's operand; b: swizzled_operand() of the
/// tokens, transposed or not.
template <int kTokens, bool kIsBf16, bool kTransposed = false, Sums kSums = Sums::kAdd>
__device__ __forceinline__ void multiply_async(float (&d)[kTokens / 2], const uint32_t* a,
                                               uint64_t b) {
  constexpr int kT = kTransposed ? 1 : 0, kAdd = kSums == Sums::kAdd ? 1 : 0;
  static_assert(kTokens == 64 || kSums == Sums::kAdd);
  if constexpr (kTokens == 64) {
    if constexpr (kIsBf16)
      NEUROS_WGMMA_N64("bf16", d, a, b, kAdd, kT);
    else
      NEUROS_WGMMA_N64("f16", d, a, b, kAdd, kT);
  } else if constexpr (kTokens == 96) {
    static_assert(!kTransposed);
    if constexpr (kIsBf16)
      NEUROS_WGMMA_N96("bf16", d, a, b);
    else
      NEUROS_WGMMA_N96("f16", d, a, b);
  } else if constexpr (kTokens == 128) {
    if constexpr (kIsBf16)
      NEUROS_WGMMA_N128("bf16", d, a, b, kT);
    else
      NEUROS_WGMMA_N128("f16", d, a, b, kT);
  } else {
    static_assert(kTokens == 256 && !kTransposed);
    if constexpr (kIsBf16)
      NEUROS_WGMMA_N256("bf16", d, a, b);
    else
      NEUROS_WGMMA_N256("f16", d, a, b);
  }
}

/// The same with a from shared memory as well, d += a b or d = a b: packed_operand() or
/// swizzled_operand() of the weights.
template <int kTokens, bool kIsBf16, Sums kSums = Sums::kAdd>
__device__ __forceinline__ void multiply_shared_async(float (&d)[kTokens / 2], uint64_t a,
                                                      uint64_t b) {
  static_assert(kTokens == 64 || kTokens == 128 || kTokens == 256);
  constexpr int kAdd = kSums == Sums::kAdd ? 1 : 0;
  if constexpr (kTokens == 64 && kIsBf16) {
    NEUROS_WGMMA_SHARED("64", 32, "bf16", d, a, b, kAdd, "%32", "%33", "%34");
  } else if constexpr (kTokens == 64) {
    NEUROS_WGMMA_SHARED("64", 32, "f16", d, a, b, kAdd, "%32", "%33", "%34");
  } else if constexpr (kTokens == 128 && kIsBf16) {
    NEUROS_WGMMA_SHARED("128", 64, "bf16", d, a, b, kAdd, "%64", "%65", "%66");
  } else if constexpr (kTokens == 128) {
    NEUROS_WGMMA_SHARED("128", 64, "f16", d, a, b, kAdd, "%64", "%65", "%66");
  } else if constexpr (kIsBf16) {
    NEUROS_WGMMA_SHARED("256", 128, "bf16", d, a, b, kAdd, "%128", "%129", "%130");
  } else {
    NEUROS_WGMMA_SHARED("256", 128, "f16", d, a, b, kAdd, "%128", "%129", "%130");
  }
}

#undef NEUROS_WGMMA_SHARED
#undef NEUROS_WGMMA_N64
#undef NEUROS_WGMMA_N96
#undef NEUROS_WGMMA_N128
#undef NEUROS_WGMMA_N256
#undef NEUROS_WGMMA
#undef NEUROS_NAMES_128
#undef NEUROS_NAMES_64
#undef NEUROS_NAMES_48
#undef NEUROS_NAMES_32
#undef NEUROS_SUMS_128
#undef NEUROS_SUMS_64
#undef NEUROS_SUMS_48
#undef NEUROS_SUMS_32
#undef NEUROS_SUMS_8

#endif

}  // namespace neuros::kernels::cuda::hopper
