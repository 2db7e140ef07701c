/// A decode pass of one row in one kernel: a block on every multiprocessor goes through all phases,
/// and waits at the end of each until all blocks are there.
///
/// Bound. While blocks wait (for the last one, for the row to come through L2 and be prepared:
/// some 3 us a phase) the rings fill: 160 KB on each of 132 multiprocessors, 5 us of an H200's
/// 4.2 TB/s. What warps spend on a chunk (decode_chunks.cuh) is three to eight times less for a
/// single token (single_token.cuh). Measured (bench/RESULTS.md), phases are slower than that: the
/// chains of instructions between two barriers are longer than the rings can cover.

#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/step_attention.cuh"
#include "kernels/cuda/step_product.cuh"

#include <algorithm>
#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

/// 16 warps that multiply, and a warpgroup that feeds them.
constexpr int kStepThreads = kBlockThreads + 128;
static_assert(kRingsOfFeeder * 4 == kStepWarps);
/// The registers of 640 threads x 96, dealt again: 512 x 104 + 128 x 64. There are no others: more
/// than a block started with it never gets.
constexpr int kMultiplyRegisters = 104;
constexpr int kFeedRegisters = 64;

/// Shared memory, offsets in bytes: rings first.
struct StepShared {
  int barriers, sums, attention, area, end;

  __host__ __device__ constexpr StepShared(int slot_bytes, int slots, int area_bytes) {
    barriers = kStepWarps * slots * slot_bytes;
    sums = barriers + kStepWarps * kStepSlotsMax * 16;
    attention = sums + 2 * kBatchFloats * static_cast<int>(sizeof(float));
    area = attention + static_cast<int>(round_up(sizeof(StepAttentionShared), 128));
    end = area + area_bytes;
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Says that this block is done with a phase.
__device__ __forceinline__ void arrive(StepCounters* counters) {
  StepThreads::sync();
  if (threadIdx.x == 0) {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(&counters->arrived) : "memory");
  }
}

/// Until all blocks are done with `phases` phases.
__device__ __forceinline__ void wait_for_all(const StepCounters* counters, int phases) {
  if (threadIdx.x == 0) {
    const uint32_t wanted = static_cast<uint32_t>(phases) * gridDim.x;
    uint32_t arrived;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                   : "=r"(arrived)
                   : "l"(&counters->arrived)
                   : "memory");
    } while (arrived < wanted);
  }
  StepThreads::sync();
}

/// The last block to leave makes the counters fit for the next launch.
__device__ __forceinline__ void leave_counters(StepCounters* counters) {
  if (threadIdx.x != 0) return;
  __threadfence();
  if (atomicAdd(&counters->left, 1u) + 1 < gridDim.x) return;
  counters->arrived = 0;
  counters->left = 0;
}

/// Calls use(T{}, std::integral_constant of the head size).
template <typename Use>
__device__ __forceinline__ void with_heads(const StepHeads& heads, Use use) {
  using Size64 = std::integral_constant<int, 64>;
  using Size128 = std::integral_constant<int, 128>;
  const bool is_f16 = heads.dtype == base::DType::kF16;
  if (heads.attention.head_dim == 64) {
    if (is_f16) return use(__half{}, Size64{});
    return use(__nv_bfloat16{}, Size64{});
  }
  if (is_f16) return use(__half{}, Size128{});
  use(__nv_bfloat16{}, Size128{});
}

__device__ __forceinline__ void run_phase(const StepLaunch& launch, int index, RingReader& ring,
                                          std::byte* area, float* sums,
                                          StepAttentionShared& shared) {
  const auto start = [&] {
    if (index > 0) wait_for_all(launch.counters, index);
  };
  const StepPhase& phase = launch.phases[index];
  if (phase.kind == StepKind::kAttention) {
    if (index == 0) {
      if (threadIdx.x == 0) enter_attention(phase.attention, shared);
      StepThreads::sync();
    }
    start();
    return with_heads(
        launch.heads, [&]<typename T, int kHeadDim>(T, std::integral_constant<int, kHeadDim>) {
          attend_units<T, kHeadDim>(launch, index > 0, area + launch.tile_offset, shared);
        });
  }
  const bool attention_follows =
      index + 1 < launch.phase_count && (&phase)[1].kind == StepKind::kAttention;
  if (attention_follows && threadIdx.x == 0) enter_attention((&phase)[1].attention, shared);
  const auto then = [&] {
    if (!attention_follows) return;
    with_heads(launch.heads,
               [&]<typename T, int kHeadDim>(T, std::integral_constant<int, kHeadDim>) {
                 start_first_tile<T, kHeadDim>(launch, (&phase)[1].attention, shared,
                                               area + launch.tile_offset);
               });
  };
  const StepProduct& product = phase.product;
  run_product(product, ring, area, sums, start, then);
}

#endif

__global__ void __launch_bounds__(kStepThreads, 1)
    step_kernel(const __grid_constant__ StepLaunch launch) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint4 dynamic_shared[];
  auto* const shared = reinterpret_cast<std::byte*>(dynamic_shared);
  const StepShared place(launch.slot_bytes, launch.slots, launch.area_bytes);
  const uint32_t start = hopper::shared_address(shared);
  const StepRings rings{start, start + static_cast<uint32_t>(place.barriers), launch.slot_bytes,
                        launch.slots};
  init_rings(rings);
  __syncthreads();
  if (threadIdx.x >= kBlockThreads) {
    hopper::give_registers_back<kFeedRegisters>();
    feed_rings(launch, rings, static_cast<int>(threadIdx.x - kBlockThreads) / kLanes);
    return;
  }
  hopper::take_registers<kMultiplyRegisters>();
  wait_for_previous();
  RingReader ring(rings, shared);
  auto* const sums = reinterpret_cast<float*>(shared + place.sums);
  auto& attention = *reinterpret_cast<StepAttentionShared*>(shared + place.attention);
  init_attention(launch.heads, attention);
  StepThreads::sync();
  for (int i = 0; i < launch.phase_count; ++i) {
    run_phase(launch, i, ring, shared + place.area, sums, attention);
    if (i + 1 < launch.phase_count) arrive(launch.counters);
  }
  leave_counters(launch.counters);
#endif
}

/// Blocks wait for each other, so that all must be on the chip at once.
void launch_cooperative(const OpContext& context, int blocks, int shared_bytes,
                        const StepLaunch& step) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kStepThreads);
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream_of(context);
  config.attrs = &attribute;
  config.numAttrs = 1;
  const cudaError_t error = cudaLaunchKernelEx(&config, step_kernel, step);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

}  // namespace

void launch_step(const OpContext& context, StepLaunch& step) {
  static Residency residency;
  const DeviceTraits device = device_traits();
  constexpr int kStatic = 1024;  // what the kernel has beside
  const int fixed = StepShared(step.slot_bytes, 0, step.area_bytes).end + kStatic;
  step.slots =
      std::min((device.shared_bytes_max - fixed) / (kStepWarps * step.slot_bytes), kStepSlotsMax);
  CHECK(step.slots > 1, "a step's rings do not fit");
  const StepShared shared(step.slot_bytes, step.slots, step.area_bytes);
  residency.blocks(reinterpret_cast<const void*>(step_kernel), kStepThreads, shared.end);
  launch_cooperative(context, device.multiprocessors, shared.end, step);
}

}  // namespace neuros::kernels::cuda
