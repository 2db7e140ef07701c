#pragma once

#include "kernels/cuda/hopper.cuh"

namespace neuros::kernels::cuda::hopper {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The first kGroups warpgroups of a block start their products in turn, round and round, so that
/// one's other work runs beside the others' products. Takes the block's barriers 1 .. kGroups.
template <int kGroups>
class Turns {
 public:
  explicit __device__ __forceinline__ Turns(int group) : group_(group) {
    if (group == kGroups - 1) give();
  }
  __device__ __forceinline__ void take() const { sync_threads<kBoth>(1 + group_); }
  __device__ __forceinline__ void give() const {
    arrive_threads<kBoth>(1 + (group_ == kGroups - 1 ? 0 : group_ + 1));
  }

 private:
  static constexpr int kBoth = 2 * 128;
  int group_;
};

#endif

}  // namespace neuros::kernels::cuda::hopper
