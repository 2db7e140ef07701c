#pragma once

/// What decode kernels are told of a launch's matrices, and what they do with a finished sum.

#include "kernels/cuda/decode_chunks.cuh"
#include "kernels/cuda/decode_parameters.h"
#include "kernels/cuda/prepare.cuh"

namespace neuros::kernels::cuda {

/// DecodeBatch in the words of a kernel.
struct DecodeParameters {
  DecodeTask tasks[kTasksMax];
  int first_panel[kTasksMax];  ///< of each task, among the panels of all
  int task_count = 0;
  int passes = 1;  ///< 2: gate and up, panel by panel
  int panels = 0;  ///< of one pass
  int groups = 0;  ///< of tokens
  int tokens = 0;
  int chunks = 0;  ///< of a panel
  int column_groups = 0;
  int64_t panel_bytes = 0;
  int columns = 0;    ///< padded columns of a token
  SourceRows source;  ///< where the kernel prepares itself
  PreparedActivations prepared;
  PreparedActivations pieces;  ///< DecodeBatch::pieces
};

/// A panel of a task.
struct TaskPanel {
  int task = 0;
  int panel = 0;  ///< of the task
};
/// Panel `panel` of all tasks of a pass.
__device__ __forceinline__ TaskPanel task_panel(const DecodeParameters& p, int pass, int panel) {
  if (p.passes == 2) return {pass, panel};
  int task = 0;
  while (task + 1 < p.task_count && panel >= p.first_panel[task + 1]) ++task;
  return {task, panel - p.first_panel[task]};
}

/// Bias, residual or gate, and the store. `gate` is the sum of the pass before. What other kernels
/// wrote is read past the first-level cache (README.md).
__device__ __forceinline__ void finish(const DecodeParameters& p, const DecodeTask& task, int row,
                                       int token, float sum, float gate) {
  const int64_t at = static_cast<int64_t>(token) * task.rows + row;
  if (task.bias != nullptr) sum = __fadd_rn(sum, task.bias[row]);
  if (task.residual != nullptr) sum = __fadd_rn(sum, __ldcg(task.residual + at));
  if (task.gate != nullptr) gate = __ldcg(task.gate + at);
  if (p.passes == 2 || task.gate != nullptr) sum = __fmul_rn(silu(gate), sum);
  task.y[at] = sum;
}

inline DecodeParameters decode_parameters(const DecodeBatch& batch, base::DType dtype) {
  DecodeParameters p;
  p.task_count = batch.task_count;
  p.passes = batch.gated ? 2 : 1;
  for (int i = 0; i < batch.task_count; ++i) {
    p.tasks[i] = batch.tasks[i];
    p.first_panel[i] = batch.gated ? 0 : p.panels;
    const auto panels = static_cast<int>(panel_count(batch.tasks[i].rows));
    p.panels = batch.gated ? panels : p.panels + panels;
  }
  p.tokens = static_cast<int>(batch.source.tokens);
  p.panel_bytes = panel_bytes(dtype, batch.source.cols);
  p.columns = static_cast<int>(padded_columns(activation_kind(dtype), batch.source.cols));
  p.source = source_rows(batch.source);
  p.pieces = batch.pieces;
  return p;
}

}  // namespace neuros::kernels::cuda
