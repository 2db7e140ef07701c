#pragma once

/// Which queries a block of the prompt kernels takes: neighbouring rows of one sequence with all
/// query heads of one KV head.

#include "kernels/cuda/attention_view.h"

namespace neuros::kernels::cuda {

/// Queries of one sequence and KV head: number x is row x / group, query head x % group.
struct QueryRange {
  int32_t first, last;
  int32_t group;
  int32_t first_row, first_position;  ///< of the sequence

  __device__ int32_t position(int32_t query) const { return first_position + query / group; }
};

/// Where a query's row of [tokens, heads, head_dim] starts.
template <int kHeadDim>
__device__ __forceinline__ int64_t row_start(const AttentionView& view, const QueryRange& range,
                                             uint32_t kv_head, int32_t query) {
  const int64_t row = range.first_row + query / range.group;
  const int64_t head = static_cast<int64_t>(kv_head) * range.group + query % range.group;
  return (row * view.heads + head) * kHeadDim;
}

__host__ __device__ inline int32_t query_blocks(int32_t rows, int32_t group, int32_t queries) {
  return (rows * group + queries - 1) / queries;
}

/// Blocks of `queries` queries of all of a run's sequences, for one KV head.
inline int32_t query_blocks(const AttentionRun& run, int32_t queries) {
  int32_t blocks = 0;
  for (const SequenceSlice& slice : run.slices) {
    blocks += query_blocks(slice.rows, run.view.group, queries);
  }
  return blocks;
}

/// A block's sequence and its number there, counting all blocks of the run's sequences.
struct BlockPlace {
  int32_t sequence = 0;
  int32_t number;
  int32_t block_queries;

  __device__ BlockPlace(const AttentionView& view, int32_t sequences, uint32_t block,
                        int32_t queries)
      : number(static_cast<int32_t>(block)), block_queries(queries) {
    while (sequence < sequences - 1) {
      const int32_t blocks = query_blocks(view.rows[sequence], view.group, block_queries);
      if (number < blocks) break;
      number -= blocks;
      ++sequence;
    }
  }

  __device__ QueryRange queries(const AttentionView& view) const {
    const int32_t all = view.rows[sequence] * view.group;
    const int32_t blocks = query_blocks(view.rows[sequence], view.group, block_queries);
    const int32_t first = (blocks - 1 - number) * block_queries;  // long walks start first
    return {first, min(first + block_queries, all) - 1, view.group, view.first_row[sequence],
            view.first_position[sequence]};
  }
};

}  // namespace neuros::kernels::cuda
