#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pass_ops.h"
#include "kernels/cuda/top_logits_search.cuh"

namespace neuros::kernels::cuda {
namespace {

/// A row's logits in groups of 128, whose members lie far apart: member (lane, step) of group g is
/// logit 8 g + lane + 8 groups step. The likeliest tokens often are neighbours, and a group of
/// neighbours would hold many of them.
constexpr int kGroupLanes = 8;
constexpr int kSteps = 16;
constexpr int kGroupSize = kGroupLanes * kSteps;
constexpr int kGroupsOfWarp = 32 / kGroupLanes;
constexpr int kFoldThreads = 64;  // so that many multiprocessors bring the row
constexpr int kSelectThreads = 1024;

/// A multiple of kGroupsOfWarp, so that warps are whole.
constexpr int64_t groups_of(int64_t vocabulary) {
  constexpr int64_t kOfWarp = int64_t{32} * kSteps;
  return (vocabulary + kOfWarp - 1) / kOfWarp * kGroupsOfWarp;
}

struct TopLogitsView {
  const float* logits;  ///< [rows, vocabulary]
  TopLogits* out;       ///< [rows]
  uint64_t* greatest;   ///< [rows, groups], as keys; 0: the group is empty
  float* sums;          ///< [rows, groups], of exp(logit - the group's greatest)
  int32_t vocabulary;
  int32_t groups;

  __device__ const float* row() const { return logits + int64_t{blockIdx.y} * vocabulary; }
  __device__ int64_t first_group() const { return int64_t{blockIdx.y} * groups; }
  __device__ int32_t member(int32_t group, int lane, int step) const {
    return kGroupLanes * (group + groups * step) + lane;
  }
};

/// Block (i, row), kGroupLanes threads a group: the greatest of each group and its sum.
__global__ void __launch_bounds__(kFoldThreads) fold_groups_kernel(TopLogitsView view) {
  let_next_start();
  wait_for_previous();
  const auto thread = static_cast<int32_t>(blockIdx.x * kFoldThreads + threadIdx.x);
  const int32_t group = thread / kGroupLanes;
  const int lane = thread % kGroupLanes;
  if (group >= view.groups) return;  // a whole warp
  const float* row = view.row();
  float values[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {  // all on their way before the first is looked at
    values[step] = row[min(view.member(group, lane, step), view.vocabulary - 1)];
  }
  uint64_t greatest = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int32_t id = view.member(group, lane, step);
    if (id >= view.vocabulary) values[step] = -INFINITY;
    greatest = max(greatest, id < view.vocabulary ? key_of(values[step], id) : 0);
  }
  for (int distance = kGroupLanes / 2; distance > 0; distance /= 2) {
    greatest = max(greatest, __shfl_xor_sync(0xffffffffu, greatest, distance));
  }
  float sum = 0.0f;
  const float top = greatest_of(greatest);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) sum += expf(values[step] - top);
  for (int distance = kGroupLanes / 2; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  }
  if (lane != 0) return;
  view.greatest[view.first_group() + group] = greatest;
  view.sums[view.first_group() + group] = sum;
}

/// The logits of the groups in a list: a thread has one member of every kGroupsAtOnce-th group.
class ListedLogits {
  static constexpr int kGroupsAtOnce = kSelectThreads / kGroupSize;

 public:
  const int32_t rounds;

  __device__ ListedLogits(const TopLogitsView& view, const int32_t* list, int32_t count)
      : rounds((count + kGroupsAtOnce - 1) / kGroupsAtOnce),
        row_(view.row()),
        list_(list),
        last_(count - 1),
        first_(static_cast<int32_t>(threadIdx.x) / kGroupSize),
        vocabulary_(view.vocabulary) {
    const int in_group = static_cast<int>(threadIdx.x) % kGroupSize;
    of_group_0_ = view.member(0, in_group % kGroupLanes, in_group / kGroupLanes);
  }

  /// Without a branch.
  __device__ __forceinline__ OwnLogit at(int32_t round) const {
    const int32_t index = first_ + round * kGroupsAtOnce;
    const int32_t id = of_group_0_ + kGroupLanes * list_[min(index, last_)];
    const float logit = row_[min(id, vocabulary_ - 1)];
    return {logit, index <= last_ && id < vocabulary_ ? id : -1};
  }

 private:
  const float* row_;
  const int32_t* list_;
  int32_t last_, first_, vocabulary_, of_group_0_;
};

/// The upper halves of the block's keys lie between these. By all threads of kWarpsMax warps; 0:
/// the thread has none.
struct KeyRange {
  uint32_t least, most;

  __device__ explicit KeyRange(uint64_t own)
      : least(own == 0 ? ~0u : static_cast<uint32_t>(own >> 32)),
        most(static_cast<uint32_t>(own >> 32)) {
    __shared__ uint32_t of_warp[2][kWarpsMax];
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    widen_to_warp();
    if (lane == 0) of_warp[0][warp] = least, of_warp[1][warp] = most;
    __syncthreads();
    least = of_warp[0][lane], most = of_warp[1][lane];
    widen_to_warp();
  }

 private:
  __device__ void widen_to_warp() {
    for (int distance = 16; distance > 0; distance /= 2) {
      least = min(least, __shfl_xor_sync(0xffffffffu, least, distance));
      most = max(most, __shfl_xor_sync(0xffffffffu, most, distance));
    }
  }
};

/// A bound that about `wanted` of the threads' keys reach; 1 where there are not so many.
__device__ uint64_t bound_of(uint64_t own, int32_t wanted) {
  static_assert(kSelectThreads == 32 * kWarpsMax);
  const KeyRange range(own);
  if (__syncthreads_count(own != 0) < wanted) return 1;
  const uint64_t from = uint64_t{range.least} << 32, to = uint64_t{range.most} << 32 | ~0u;
  return find_bound(from, to, {wanted, wanted + wanted / 8},
                    [&](uint64_t key) { return __syncthreads_count(own >= key); });
}

/// A thread's groups of the row: every kSelectThreads-th, the first of them in registers.
class OwnGroups {
 public:
  __device__ explicit OwnGroups(const TopLogitsView& view) : view_(view) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) held_[i] = load(group(i));
  }

  /// Calls use(group, its greatest, its sum).
  template <typename Use>
  __device__ void each(Use use) const {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (group(i) < view_.groups) use(group(i), held_[i].greatest, held_[i].sum);
    }
    for (int32_t g = group(kHeld); g < view_.groups; g += kSelectThreads) {
      const Group more = load(g);
      use(g, more.greatest, more.sum);
    }
  }

 private:
  static constexpr int kHeld = 2;  // all, of up to 262144 logits
  struct Group {
    uint64_t greatest;
    float sum;
  };
  __device__ static int32_t group(int i) {
    return static_cast<int32_t>(threadIdx.x) + i * kSelectThreads;
  }
  __device__ Group load(int32_t group) const {
    if (group >= view_.groups) return {0, 0.0f};
    const int64_t at = view_.first_group() + group;
    return {view_.greatest[at], view_.sums[at]};
  }

  const TopLogitsView& view_;
  Group held_[kHeld];
};

/// Writes the numbers of the groups whose greatest is at least `threshold` to `list`; their count.
__device__ int32_t list_groups(const OwnGroups& groups, uint64_t threshold, int32_t* list) {
  __shared__ int32_t count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  groups.each([&](int32_t group, uint64_t greatest, float) {
    if (greatest >= threshold) list[atomicAdd(&count, 1)] = group;
  });
  __syncthreads();
  return count;
}

/// Of the row: sum of exp(logit - top), in one order whatever runs beside it.
__device__ float sum_groups(const OwnGroups& groups, float top) {
  __shared__ float partial[kWarpsMax];
  float all = 0.0f;
  groups.each([&](int32_t, uint64_t greatest, float sum) {
    all += sum * expf(greatest_of(greatest) - top);
  });
  return block_sum(all, partial);
}

/// Block (0, row): at least kTopLogits logits are as great as the least of the kTopLogits greatest
/// groups. The groups that hold one of those are read again, and what is as great is put in order.
__global__ void __launch_bounds__(kSelectThreads) select_kernel(TopLogitsView view) {
  extern __shared__ int32_t list[];  // [groups]
  __shared__ Candidates candidates;
  __shared__ float2 storage[kTopLogits];  // TopLogit has constructors
  auto* best = reinterpret_cast<TopLogit*>(storage);
  let_next_start();
  wait_for_previous();
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t wanted = min(view.vocabulary, kTopLogits);
  const OwnGroups groups(view);
  uint64_t mine = 0;
  groups.each([&](int32_t, uint64_t greatest, float) { mine = max(mine, greatest); });
  const uint64_t bound = bound_of(mine, wanted);
  const int32_t listed = list_groups(groups, bound, list);
  collect(ListedLogits(view, list, listed), bound, wanted, candidates);
  put_in_order(candidates, wanted, best);
  const float sum = sum_groups(groups, best[0].logit);
  TopLogits& out = view.out[blockIdx.y];
  if (thread < wanted) out.best[static_cast<size_t>(thread)] = best[thread];
  if (thread == 0) {
    out.vocabulary = view.vocabulary;
    out.sum = sum;
  }
}

}  // namespace

int64_t top_logits_scratch_bytes(const OpLimits& limits) {
  return limits.logit_rows * groups_of(limits.rows) *
         static_cast<int64_t>(sizeof(uint64_t) + sizeof(float));
}

void top_logits(const OpContext& context, const TopLogitsArgs& args) {
  if (args.rows == 0) return;
  flush_pass(context);
  const int64_t groups = groups_of(args.vocabulary);
  const auto rows = static_cast<unsigned>(args.rows);
  const std::span<std::byte> scratch = op_scratch(context);
  const int64_t group_count = args.rows * groups;
  CHECK(group_count * static_cast<int64_t>(sizeof(uint64_t) + sizeof(float)) <=
        std::ssize(scratch));
  const TopLogitsView view{
      .logits = args.logits,
      .out = args.out,
      .greatest = reinterpret_cast<uint64_t*>(scratch.data()),
      .sums = reinterpret_cast<float*>(scratch.data() + group_count * sizeof(uint64_t)),
      .vocabulary = static_cast<int32_t>(args.vocabulary),
      .groups = static_cast<int32_t>(groups)};
  const auto blocks =
      static_cast<unsigned>((groups * kGroupLanes + kFoldThreads - 1) / kFoldThreads);
  launch(context, {.grid = dim3(blocks, rows), .block = dim3(kFoldThreads)}, fold_groups_kernel,
         view);
  launch(context,
         {.grid = dim3(1, rows),
          .block = dim3(kSelectThreads),
          .shared_bytes = static_cast<size_t>(groups) * sizeof(int32_t)},
         select_kernel, view);
}

}  // namespace neuros::kernels::cuda
