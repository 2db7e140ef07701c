/// A decode pass of one row in one kernel: a block on every multiprocessor goes through all phases,
/// and waits in each for the elements it needs, wherever they come from.
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

/// The words of this launch; the other set is made fit for the next one.
__device__ __forceinline__ uint32_t* take_words(const StepLaunch& launch, uint32_t launches) {
  const uint32_t set = launches % 2;
  const uint32_t used = launch.state->words_used[1 - set];
  auto* const other =
      reinterpret_cast<uint4*>(launch.sets + int64_t{launch.set_words} * (1 - set));
  for (uint32_t i = blockIdx.x * kBlockThreads + threadIdx.x; i < used / 4;
       i += gridDim.x * kBlockThreads) {
    other[i] = make_uint4(0, 0, 0, 0);
  }
  return launch.sets + int64_t{launch.set_words} * set;
}

/// The last block to leave says that the launch is over.
__device__ __forceinline__ void leave_launch(const StepLaunch& launch, uint32_t launches) {
  StepState& state = *launch.state;
  StepThreads::sync();  // all threads have read the state
  if (threadIdx.x != 0 || atomicAdd(&state.left, 1u) + 1 < gridDim.x) return;
  state.left = 0;
  state.words_used[launches % 2] = static_cast<uint32_t>(launch.words);
  state.launches = launches + 1;
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

/// What a block has in shared memory beside its rings.
struct StepPlaces {
  std::byte* area;  ///< prepared activations; a tile of keys and values from tile_offset on
  float* sums;
  StepAttentionShared& attention;
};

__device__ __forceinline__ void run_attention(const StepLaunch& launch, int index,
                                              uint32_t launches, uint32_t* words,
                                              const StepPlaces& places) {
  const StepAttentionRun run{launch.phases[index].attention, launch.heads, words,
                             (uint64_t{launches} << 8) + static_cast<uint64_t>(index)};
  with_heads(launch.heads, [&]<typename T, int kHeadDim>(T, std::integral_constant<int, kHeadDim>) {
    attend_units<T, kHeadDim>(run, places.area + launch.tile_offset, places.attention);
  });
}

__device__ __forceinline__ void run_phase(const StepLaunch& launch, int index, uint32_t launches,
                                          uint32_t* words, RingReader& ring,
                                          const StepPlaces& places) {
  const StepPhase& phase = launch.phases[index];
  if (phase.kind() == StepKind::kAttention) {
    return run_attention(launch, index, launches, words, places);
  }
  const bool attention_follows =
      index + 1 < launch.phase_count && (&phase)[1].kind() == StepKind::kAttention;
  if (attention_follows && threadIdx.x == 0) {
    enter_attention((&phase)[1].attention, places.attention);
  }
  const auto then = [&] {
    if (!attention_follows) return;
    with_heads(launch.heads,
               [&]<typename T, int kHeadDim>(T, std::integral_constant<int, kHeadDim>) {
                 start_first_tile<T, kHeadDim>(launch, places.attention,
                                               places.area + launch.tile_offset);
               });
  };
  run_product(phase.product, words, ring, places.area, places.sums, then);
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
  const uint32_t launches = launch.state->launches;
  uint32_t* const words = take_words(launch, launches);
  StepThreads::sync();
  const StepPlaces places{shared + place.area, sums, attention};
  for (int i = 0; i < launch.phase_count; ++i) {
    run_phase(launch, i, launches, words, ring, places);
  }
  leave_launch(launch, launches);
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
