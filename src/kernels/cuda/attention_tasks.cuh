#pragma once

/// What the warp that feeds a decode attention block tells the others with each tile, so that they
/// need not find it themselves.

#include "kernels/cuda/attention_results.cuh"
#include "kernels/cuda/attention_units.cuh"

namespace neuros::kernels::cuda {

/// What a tile is for.
struct TileTask {
  RowHeads row;
  int32_t start, first, end;  ///< its first position; those that the split sees
  int32_t split, splits;
  int32_t meeting;  ///< as in Unit
  int32_t run;  ///< as in Unit with the last split that this block has of the row's heads; else 0
  int32_t queries;  ///< where the row's operands are
  bool ends;        ///< the split
  bool is_end;      ///< there is no tile
};

/// Shared memory of the stages: a task and a row's queries as operands for each. So many rows can
/// be under way, as each has a tile at least.
template <int kHeadDim>
struct StageTasks {
  static constexpr int kSteps = kHeadDim / 16;
  static constexpr int kQueryBytes = kSteps * 32 * 16;

  uint4* operands;
  TileTask* tasks;

  static constexpr int bytes(int stages) {
    return stages * (kQueryBytes + static_cast<int>(sizeof(TileTask)));
  }
  __device__ __forceinline__ StageTasks(std::byte* at, int stages)
      : operands(reinterpret_cast<uint4*>(at)),
        tasks(reinterpret_cast<TileTask*>(at + stages * kQueryBytes)) {}

  /// Of row `place`.
  __device__ __forceinline__ uint4* queries(int place) const {
    return operands + place * (kSteps * 32);
  }
};

/// The side that feeds, a warp.
template <typename T, int kHeadDim>
class TaskWriter {
 public:
  __device__ __forceinline__ TaskWriter(const AttentionView& view,
                                        const StageTasks<kHeadDim>& tasks, int stages)
      : view_(view), tasks_(tasks), stages_(stages) {}

  /// Tile n of a unit, to an empty stage.
  __device__ __forceinline__ void put(int stage, const Unit& unit, int n) {
    if (n == 0 && unit.run == 1) put_queries(unit.work);
    if (threadIdx.x % 32 != 0) return;
    const bool ends = n + 1 == unit.tiles;
    tasks_.tasks[stage] = {.row = {.sequence = unit.work.sequence,
                                   .token = view_.first_row[unit.work.sequence],
                                   .first_head = unit.work.first_head,
                                   .heads = unit.work.heads},
                           .start = unit.start + n * kSplitTile,
                           .first = unit.pages.first,
                           .end = unit.pages.end,
                           .split = unit.work.split,
                           .splits = unit.splits,
                           .meeting = unit.meeting,
                           .run = ends && unit.is_last ? unit.run : 0,
                           .queries = place_,
                           .ends = ends,
                           .is_end = false};
  }
  /// A tile of nothing for no heads: the others fetch their instructions on its way, while this
  /// launch waits for the one before.
  __device__ __forceinline__ void put_dry(int stage) const {
    if (threadIdx.x % 32 == 0) tasks_.tasks[stage] = {.splits = 2, .ends = true};
    __syncwarp();
  }
  __device__ __forceinline__ void put_end(int stage) const {
    if (threadIdx.x % 32 == 0) tasks_.tasks[stage].is_end = true;
    __syncwarp();
  }

 private:
  static constexpr int kSteps = StageTasks<kHeadDim>::kSteps;

  __device__ __forceinline__ void put_queries(const DecodeWork& work) {
    place_ = place_ + 1 == stages_ ? 0 : place_ + 1;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int64_t head = int64_t{view_.first_row[work.sequence]} * view_.heads + work.first_head;
    constexpr int kAtOnce = 2;
#pragma unroll 1
    for (int first = 0; first < kSteps; first += kAtOnce) {
      QueryPairs pairs[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        pairs[i] = {};
        if (lane / 4 >= work.heads || first + i >= kSteps) continue;
        const float* at = view_.q + head * kHeadDim + first_of_pairs<kHeadDim>(first + i);
        pairs[i] = {
            {make_float2(__ldcg(at), __ldcg(at + 1)), make_float2(__ldcg(at + 8), __ldcg(at + 9))}};
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (first + i >= kSteps) break;
        tasks_.queries(place_)[(first + i) * 32 + lane] =
            as_words(query_operand<T>(pairs[i], query_scale(view_)));
      }
    }
  }

  const AttentionView& view_;
  const StageTasks<kHeadDim> tasks_;
  const int stages_;
  int place_ = 0;  ///< of the row's queries
};

}  // namespace neuros::kernels::cuda
