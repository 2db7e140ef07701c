/// A decode pass of one row in one kernel: a block on every multiprocessor goes through all phases,
/// and waits in each for the elements it needs, wherever they come from.
///
/// Bound. Weights: bytes over an H200's 4.2 TB/s. While a phase's elements come through L2 and are
/// prepared, rings fill, 180 KB on each of 132 multiprocessors: 5 us. As measured
/// (bench/RESULTS.md), 1 to 3 us lie between a phase's last element and the next one's products, 6
/// to 7 where attention does: an element's way through a busy L2 is 0.1 to 1.4 us of it, the rest
/// are chains of instructions that are fetched anew each time. So they count one by one, and lanes
/// that part in such a chain execute the rest of it apart. Types of few bits are bound by
/// instructions: those of a chunk, and those that feed it.

#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/residency.h"
#include "kernels/cuda/step_attention.cuh"
#include "kernels/cuda/step_product.cuh"

#include <algorithm>
#include <type_traits>

namespace neuros::kernels::cuda {
namespace {

/// 16 warps that multiply, and those that feed.
constexpr int kStepThreads = kBlockThreads + kFeedingWarps * kLanes;
/// The registers of 640 threads x 96, dealt again. There are no others: more than a block started
/// with it never gets.
constexpr int kMultiplyRegisters = 104;
constexpr int kFeedRegisters = (20 * 96 - kStepWarps * kMultiplyRegisters) / kFeedingWarps;
static_assert(kMultiplyRegisters % 8 == 0 && kFeedRegisters % 8 == 0);

/// What the threads that multiply have in common, at the start of shared memory.
struct StepBlock {
  StepPhase phases[3];  ///< number i at i % 3: the current one and its neighbours
  StepAttentionShared attention;
  StepRing ring;           ///< the first one
  uint32_t* words;         ///< of this launch
  uint64_t launch_number;  ///< phases number theirs from here on
  // Offsets in shared memory: pointers that are read would lose that they are of shared memory.
  int sums;                 ///< of a batch of units
  int area;                 ///< prepared activations
  int tile;                 ///< of keys and values
  int head_blocks, splits;  ///< of StepHeads
  std::byte* split_sums;    ///< of StepHeads
};

/// Shared memory, offsets in bytes: the rings after the block's data.
struct StepShared {
  int barriers, sums, area, end;

  __host__ __device__ constexpr StepShared(int ring_bytes, int area_bytes) {
    barriers = kRingsOffset + kFeedingWarps * ring_bytes;
    sums = barriers + kFeedingWarps * StepRing::kBarrierBytes;
    area =
        static_cast<int>(round_up(sums + 2 * kBatchFloats * static_cast<int>(sizeof(float)), 128));
    end = area + area_bytes;
  }
};
static_assert(sizeof(StepBlock) <= kRingsOffset);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The words of this launch; the other set is made fit for the next one.
__device__ __forceinline__ uint32_t* take_words(const StepLaunch& launch, uint32_t launches) {
  const uint32_t set = launches % 2;
  const uint32_t used = launch.state->words_used[1 - set];
  auto* const other = reinterpret_cast<uint4*>(launch.sets + int64_t{launch.set_words} * (1 - set));
  for (uint32_t i = blockIdx.x * kBlockThreads + thread_index(); i < used / 4;
       i += gridDim.x * kBlockThreads) {
    other[i] = make_uint4(0, 0, 0, 0);
  }
  return launch.sets + int64_t{launch.set_words} * set;
}

/// The last block to leave says that the launch is over.
__device__ __forceinline__ void leave_launch(const StepLaunch& launch) {
  StepState& state = *launch.state;
  if (thread_index() != 0 || atomicAdd(&state.left, 1u) + 1 < gridDim.x) return;
  const uint32_t launches = state.launches;
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

__device__ __forceinline__ StepBlock& step_block() {
  return *reinterpret_cast<StepBlock*>(shared_bytes());
}

// What a phase needs lies in shared memory, and what depends on the thread alone is made of
// thread_index() where it is used: computed once for all phases, it would lie in local memory and
// come from afar each time, with the first-level cache as small as shared memory leaves it.

template <typename T, int kHeadDim>
__device__ __forceinline__ void attend(int index) {
  StepBlock& block = step_block();
  const StepAttentionRun run{.phase = block.phases[index % 3].attention,
                             .words = block.words,
                             .number = block.launch_number + static_cast<uint64_t>(index),
                             .head_blocks = block.head_blocks,
                             .splits = block.splits,
                             .split_sums = block.split_sums};
  attend_units<T, kHeadDim>(run, shared_bytes() + block.tile, block.attention);
}

template <typename T, int kHeadDim>
__device__ __forceinline__ void start_tile() {
  StepBlock& block = step_block();
  start_first_tile<T, kHeadDim>(block.attention, block.head_blocks, shared_bytes() + block.tile);
}

constexpr int kFetchingWarp = kStepWarps - 1;

/// Brings the data of a phase to shared memory; by one warp.
__device__ __forceinline__ void fetch_phase(const StepLaunch& launch, int index) {
  constexpr int kUnits = sizeof(StepPhase) / 16;
  static_assert(sizeof(StepPhase) % 16 == 0 && kUnits <= kLanes);
  const int lane = thread_index() % kLanes;
  if (index >= launch.phase_count || lane >= kUnits) return;
  reinterpret_cast<uint4*>(&step_block().phases[index % 3])[lane] =
      reinterpret_cast<const uint4*>(&launch.phases[index])[lane];
}

/// Sets the views of phase `index`, which is attention; by one thread.
__device__ __forceinline__ void enter_attention_at(const StepLaunch& launch, int index) {
  enter_attention(launch.phases[index].attention, launch.heads.head_blocks, step_block().attention);
}

/// What the phases after product `index` need before they begin. There is no attention between this
/// phase and the one after the next.
__device__ __forceinline__ void start_next(const StepLaunch& launch, int index) {
  const StepProduct& product = step_block().phases[index % 3].product;
  if (thread_index() / kLanes == kFetchingWarp) fetch_phase(launch, index + 1);
  if (product.attention_is_after_next && thread_index() == 0) enter_attention_at(launch, index + 2);
  if (!product.attention_is_next) return;
  with_heads(launch.heads, [&]<typename T, int kHeadDim>(T, std::integral_constant<int, kHeadDim>) {
    start_tile<T, kHeadDim>();
  });
}

/// `stage`: the warp's next one; returns which it is then.
template <ActivationKind kKind>
__device__ __forceinline__ uint32_t multiply(const StepLaunch& launch, int index, uint32_t stage) {
  StepBlock& block = step_block();
  RingReader ring(block.ring, stage);
  const ProductPlace place{shared_bytes() + block.area,
                           reinterpret_cast<float*>(shared_bytes() + block.sums)};
  run_product<kKind>(block.phases[index % 3].product, block.words, ring, place,
                     [&] { start_next(launch, index); });
  return ring.number();
}

/// By all threads; a barrier follows.
__device__ __forceinline__ void init_block(const StepLaunch& launch, const StepRing& ring,
                                           const StepShared& place) {
  StepBlock& block = step_block();
  init_attention(launch.heads, block.attention);
  const uint32_t launches = launch.state->launches;
  uint32_t* const words = take_words(launch, launches);
  if (thread_index() < kLanes) fetch_phase(launch, 0);
  if (thread_index() != 0) return;
  if (launch.phases[0].product.attention_is_next) enter_attention_at(launch, 1);
  block.ring = ring;
  block.words = words;
  block.launch_number = uint64_t{launches} << 8;
  block.sums = place.sums;
  block.area = place.area;
  block.tile = block.area + launch.tile_offset;
  block.head_blocks = launch.heads.head_blocks;
  block.splits = launch.heads.splits;
  block.split_sums = launch.heads.sums;
}

/// No barrier stands between phases. When a thread comes to one, all are done with what the phase
/// before had prepared (multiply_units()), and with the one before that altogether.
template <ActivationKind kKind>
__device__ __forceinline__ void run_phases(const StepLaunch& launch) {
  uint32_t stage = 0;
  for (int i = 0; i < launch.phase_count; ++i) {
    if (step_block().phases[i % 3].kind() != StepKind::kAttention) {
      stage = multiply<kKind>(launch, i, stage);
      continue;
    }
    if (thread_index() / kLanes == kFetchingWarp) fetch_phase(launch, i + 1);
    with_heads(launch.heads,
               [&]<typename T, int kHeadDim>(T, std::integral_constant<int, kHeadDim>) {
                 attend<T, kHeadDim>(i);
               });
    StepThreads::sync();  // blocks without a unit have none yet
  }
}

#endif

/// Of matrices whose activations are of one kind.
template <ActivationKind kKind>
__global__ void __launch_bounds__(kStepThreads, 1)
    step_kernel(const __grid_constant__ StepLaunch launch) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const StepShared place(launch.ring_bytes, launch.area_bytes);
  const uint32_t start = hopper::shared_address(shared_bytes());
  const StepRing ring{start + kRingsOffset, start + static_cast<uint32_t>(place.barriers),
                      static_cast<uint32_t>(launch.ring_bytes)};
  init_rings(ring);
  __syncthreads();
  // Of the warp, and the compiler knows it: what hangs on it is computed once for all lanes.
  const int warp = __shfl_sync(0xffffffffu, thread_index() / kLanes, 0);
  if (warp >= kStepWarps) {
    hopper::give_registers_back<kFeedRegisters>();
    const int part = warp - kStepWarps;
    return feed_stages(launch, ring.of_part(part), part);
  }
  hopper::take_registers<kMultiplyRegisters>();
  wait_for_previous();
  init_block(launch, ring, place);
  StepThreads::sync();
  run_phases<kKind>(launch);
  leave_launch(launch);
#endif
}

/// Blocks wait for each other, so that all must be on the chip at once.
template <ActivationKind kKind>
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
  const cudaError_t error = cudaLaunchKernelEx(&config, step_kernel<kKind>, step);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

template <ActivationKind kKind>
void launch_of_kind(const OpContext& context, StepLaunch& step) {
  static Residency residency;
  const DeviceTraits device = device_traits();
  constexpr int kStatic = 1024;  // what the kernel has beside
  const int fixed = StepShared(0, step.area_bytes).end + kStatic;
  step.ring_bytes = (device.shared_bytes_max - fixed) / kFeedingWarps / 128 * 128;
  CHECK(step.ring_bytes >= 2 * kStageWarps * step.chunk_bytes_max, "a step's ring does not fit");
  const StepShared shared(step.ring_bytes, step.area_bytes);
  residency.blocks(reinterpret_cast<const void*>(step_kernel<kKind>), kStepThreads, shared.end);
  launch_cooperative<kKind>(context, device.multiprocessors, shared.end, step);
}

}  // namespace

void launch_step(const OpContext& context, StepLaunch& step) {
  switch (step.activations) {
    case ActivationKind::kBF16:
      return launch_of_kind<ActivationKind::kBF16>(context, step);
    case ActivationKind::kF16:
      return launch_of_kind<ActivationKind::kF16>(context, step);
    default:
      return launch_of_kind<ActivationKind::kQ8>(context, step);
  }
}

}  // namespace neuros::kernels::cuda
