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
constexpr int kFoldThreads = 256;
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
  uint64_t greatest = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int32_t id = view.member(group, lane, step);
    values[step] = id < view.vocabulary ? row[id] : -INFINITY;
    if (id < view.vocabulary) greatest = max(greatest, key_of(values[step], id));
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

/// Member `index` of the groups in `list`, as a key; 0 past the end of the row.
__device__ uint64_t member_key(const TopLogitsView& view, const int32_t* list, int32_t index) {
  const int in_group = index % kGroupSize;
  const int32_t id =
      view.member(list[index / kGroupSize], in_group % kGroupLanes, in_group / kGroupLanes);
  return id < view.vocabulary ? key_of(view.row()[id], id) : 0;
}

/// Writes the numbers of the groups whose greatest is at least `threshold` to `list`; their count.
__device__ int32_t list_groups(const TopLogitsView& view, uint64_t threshold, int32_t* list) {
  __shared__ int32_t count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  const uint64_t* greatest = view.greatest + view.first_group();
  for (int32_t group = static_cast<int32_t>(threadIdx.x); group < view.groups;
       group += kSelectThreads) {
    if (greatest[group] >= threshold) list[atomicAdd(&count, 1)] = group;
  }
  __syncthreads();
  return count;
}

/// Of the row: sum of exp(logit - top), in one order whatever runs beside it.
__device__ float sum_groups(const TopLogitsView& view, float top) {
  __shared__ float partial[kWarpsMax];
  const int64_t first = view.first_group();
  float sum = 0.0f;
  for (int32_t group = static_cast<int32_t>(threadIdx.x); group < view.groups;
       group += kSelectThreads) {
    sum += view.sums[first + group] * expf(greatest_of(view.greatest[first + group]) - top);
  }
  return block_sum(sum, partial);
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
  uint64_t mine = 0;
  for (int32_t group = thread; group < view.groups; group += kSelectThreads) {
    mine = max(mine, view.greatest[view.first_group() + group]);
  }
  const uint64_t bound = find_bound(1, {wanted, wanted + wanted / 8},
                                    [&](uint64_t key) { return __syncthreads_count(mine >= key); });
  const int32_t listed = list_groups(view, bound, list);
  const auto key_at = [&](int32_t index) { return member_key(view, list, index); };
  collect(key_at, listed * kGroupSize, bound, wanted, candidates);
  put_in_order(candidates, wanted, best);
  const float sum = sum_groups(view, best[0].logit);
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
