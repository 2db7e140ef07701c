/// A decode pass of one row in one kernel: a block on every multiprocessor goes through all phases,
/// and waits at the end of each until all blocks are there.
///
/// Bound. While blocks wait (for the last one, for the row to come through L2 and be prepared:
/// some 3 us a phase) the rings fill: 160 KB on each of 132 multiprocessors, 5 us of an H200's
/// 4.2 TB/s. What warps spend on a chunk (decode_chunks.cuh) is three to eight times less for a
/// single token (single_token.cuh), so that they empty the rings faster than memory fills them.
/// Five phases a layer: attention's takes longest, some 8 us.

#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/step_attention.cuh"
#include "kernels/cuda/step_product.cuh"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

/// 16 warps that multiply, and a warpgroup whose first warp feeds them.
constexpr int kStepThreads = kBlockThreads + 128;
/// The registers of 640 threads x 96, dealt again: 512 x 120 + 128 x 24.
constexpr int kMultiplyRegisters = 120;
constexpr int kFeedRegisters = 24;

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
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
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

template <typename T>
__device__ __forceinline__ void attend(const StepLaunch& launch, const StepAttention& phase,
                                       std::byte* area, StepAttentionShared& shared) {
  switch (launch.heads.attention.head_dim) {
    case 64:
      return run_attention<T, 64>(launch, phase, area, shared);
    case 128:
      return run_attention<T, 128>(launch, phase, area, shared);
    default:
      __trap();
  }
}

__device__ __forceinline__ void run_phase(const StepLaunch& launch, int index, RingReader& ring,
                                          std::byte* area, float* sums,
                                          StepAttentionShared& shared) {
  const auto start = [&] {
    if (index > 0) wait_for_all(launch.counters, index);
  };
  const StepPhase& phase = launch.phases[index];
  if (phase.kind == StepKind::kAttention) {
    start();
    if (launch.heads.dtype == base::DType::kF16) {
      return attend<__half>(launch, phase.attention, area, shared);
    }
    return attend<__nv_bfloat16>(launch, phase.attention, area, shared);
  }
  const StepProduct& product = phase.product;
  switch (activation_kind(product.tasks[0].dtype)) {
    case ActivationKind::kBF16:
      return run_product<ActivationKind::kBF16>(product, ring, area, sums, start);
    case ActivationKind::kF16:
      return run_product<ActivationKind::kF16>(product, ring, area, sums, start);
    default:
      return run_product<ActivationKind::kQ8>(product, ring, area, sums, start);
  }
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
    if (threadIdx.x < kBlockThreads + kLanes) feed_rings(launch, rings);
    return;
  }
  hopper::take_registers<kMultiplyRegisters>();
  wait_for_previous();
  RingReader ring(rings, shared);
  auto* const sums = reinterpret_cast<float*>(shared + place.sums);
  auto& attention = *reinterpret_cast<StepAttentionShared*>(shared + place.attention);
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
  const StepShared fixed(step.slot_bytes, 0, step.area_bytes);
  step.slots = std::min((device.shared_bytes_max - fixed.end) / (kStepWarps * step.slot_bytes),
                        kStepSlotsMax);
  CHECK(step.slots > 0, "a step's rings do not fit");
  const StepShared shared(step.slot_bytes, step.slots, step.area_bytes);
  residency.blocks(reinterpret_cast<const void*>(step_kernel), kStepThreads, shared.end);
  launch_cooperative(context, device.multiprocessors, shared.end, step);
}

}  // namespace neuros::kernels::cuda
