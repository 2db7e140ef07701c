#pragma once

/// What the wgmma kernels of prompt rows share: rings in shared memory that one warp fills by bulk
/// copies and others read, in clusters of blocks, and the launch of these.

#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/prefill_tile.cuh"

namespace neuros::kernels::cuda::prefill {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A place in a ring of kStages places of kBytes from kFirst on, whose barriers start at kBarriers.
/// `full` ends a phase when what was copied is there, `empty` when all who read it are done.
template <int kStages, int kBytes, int kFirst, int kBarriers>
class RingPlace {
 public:
  explicit __device__ __forceinline__ RingPlace(uint32_t shared) : shared_(shared) {}

  /// `readers`: warps that say that they are done.
  __device__ __forceinline__ static void init(uint32_t shared, uint32_t readers) {
    RingPlace place(shared);
    for (int i = 0; i < kStages; ++i) {
      hopper::init_barrier(place.full(), 1);
      hopper::init_barrier(place.empty(), readers);
      place.advance();
    }
  }

  __device__ __forceinline__ uint32_t address() const { return shared_ + kFirst + index_ * kBytes; }
  __device__ __forceinline__ uint32_t full() const { return shared_ + kBarriers + index_ * 16; }
  __device__ __forceinline__ uint32_t empty() const { return full() + 8; }
  __device__ __forceinline__ void wait_full() const { hopper::wait(full(), phase_); }
  /// Passes at once on the first round: a fresh barrier counts as past its odd phase.
  __device__ __forceinline__ void wait_empty() const { hopper::wait(empty(), phase_ ^ 1); }

  __device__ __forceinline__ void advance() {
    if (++index_ < static_cast<uint32_t>(kStages)) return;
    index_ = 0;
    phase_ ^= 1;
  }

 private:
  uint32_t shared_;
  uint32_t index_ = 0, phase_ = 0;
};

/// A barrier of all threads of the cluster.
template <int kCluster>
__device__ __forceinline__ void sync_blocks() {
  if constexpr (kCluster == 1) {
    __syncthreads();
  } else {
    hopper::sync_cluster();
  }
}

/// Says that a warp is done with a place that the copies of all blocks of the cluster fill, given
/// its barrier `empty`.
template <int kCluster>
__device__ __forceinline__ void release_place(uint32_t empty) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (kCluster == 1) {
    if (lane == 0) hopper::arrive(empty);
  } else {
    if (lane < kCluster) hopper::arrive_at_block(empty, lane);
  }
}
/// Asks for what will be added to the sums of `rows` rows and `tokens` tokens from the first of
/// `tile` on.
__device__ __forceinline__ void prefetch_extras(const ProductArgs& args, const Tile& tile, int rows,
                                                int tokens) {
  const ProductTask& task = args.tasks[tile.task];
  const float* extras = task.residual != nullptr ? task.residual : task.gate;
  rows = min(rows, task.rows - tile.row);
  if (extras == nullptr || !task.aligned || rows <= 0) return;
  const int end = min(tile.token + tokens, args.tokens);
  for (int token = tile.token + static_cast<int>(threadIdx.x) % 32; token < end; token += 32) {
    const float* from = extras + static_cast<int64_t>(token) * task.rows + tile.row;
    hopper::prefetch_to_l2(reinterpret_cast<const std::byte*>(from),
                           static_cast<uint32_t>(rows) * 4);
  }
}

#endif

/// launch() of clusters.
template <typename Kernel>
void launch_clusters(const OpContext& context, const LaunchShape& shape, unsigned cluster,
                     Kernel kernel, const ProductArgs& args) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = cluster;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream_of(context);
  config.attrs = attributes;
  config.numAttrs = 2;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, args);
  CHECK(error == cudaSuccess, cudaGetErrorString(error));
}

}  // namespace neuros::kernels::cuda::prefill
