#pragma once

/// A backend is a table of typed function pointers; null means unsupported. The Builder reads the
/// tables, so that there is never an unsupported op while serving.

#include "base/cpu_features.h"
#include "kernels/attention.h"
#include "kernels/batch_view.h"
#include "kernels/conv1d_gelu.h"
#include "kernels/embed.h"
#include "kernels/encoder_attention.h"
#include "kernels/gate_up.h"
#include "kernels/kernel_choices.h"
#include "kernels/linear.h"
#include "kernels/logits.h"
#include "kernels/qkv_rope.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/top_logits.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::kernels {

/// Every op is batch-invariant: the result for one row (or one sequence) has the same bits whatever
/// else is in the batch, however a prompt is cut into chunks, and for any number of workers. A
/// table may compute decode steps and prompt rows by different kernels (arguments say which rows
/// are which); the bits then depend on which of the two a row is, and on nothing else.
struct OpTable {
  std::string name;  ///< "ref", "cpu-vnni+bf16", "cuda"

  /// Scratch that suffices for every op of this table within the limits.
  int64_t (*scratch_bytes)(const OpLimits&) = nullptr;
  /// How much of that, at the start of the scratch, stays from op to op and from pass to pass,
  /// zeros at boot. The ops work in the end of the scratch, which anybody may use between two steps
  /// of a pass; what is in between is never touched. Null: nothing stays.
  int64_t (*kept_bytes)(const OpLimits&) = nullptr;
  /// Host memory that stage_batch needs; null: none.
  int64_t (*host_bytes)(const OpLimits&) = nullptr;
  /// Null where ops read the spans in their arguments.
  StageBatchFn stage_batch = nullptr;
  /// Batches of equal keys make the ops launch the same kernels with the same arguments, so that
  /// Stream::run_recorded may replay them; 0: not to be recorded. Null: never.
  uint64_t (*recording_key)(const BatchView&) = nullptr;

  /// Calls `ops`, which runs the ops of a pass with the context it is given: the table may collect
  /// them and run them together, with the same results. Null: ops(context).
  RunPassFn run_pass = nullptr;

  /// The ways in which this table can run a launch on a device of some kind (Device::kind()), that
  /// of its own estimate first; empty: there is nothing to choose. Null: of no launch.
  std::vector<int32_t> (*choice_values)(std::string_view device_kind,
                                        const ChoiceKey& key) = nullptr;
  /// Which of them were measured to be the fastest (choice_table.h): text. Null: nobody measured.
  std::string_view (*shipped_choices)() = nullptr;

  EmbedFn embed = nullptr;
  RmsNormFn rms_norm = nullptr;
  RopeTableFn rope_table = nullptr;
  QkvRopeFn qkv_rope = nullptr;
  AttentionFn attention = nullptr;
  GateUpFn gate_up = nullptr;
  LogitsFn logits = nullptr;
  /// Null where the host reads whole rows of logits.
  TopLogitsFn top_logits = nullptr;
  Conv1dGeluFn conv1d_gelu = nullptr;
  EncoderAttentionFn encoder_attention = nullptr;
  /// By element type of the weight; an empty row is an unsupported type.
  std::array<LinearKernel, base::kWeightDTypeCount> linear{};

  const LinearKernel& linear_for(base::DType dtype) const {
    return linear.at(static_cast<size_t>(dtype));
  }
};

/// Plain and readable: the oracle of every other table. Weights stay in their file format.
const OpTable& ref_ops();

/// The arithmetic of llama.cpp on CPU, to compare answers with that program's; not batch-invariant
/// (llama_cpp/ops.h).
const OpTable& llama_cpp_ops();

/// The fastest this processor has at `features.level`; one table per level, made once.
const OpTable& cpu_ops(const base::CpuFeatures& features);

/// The kernels for NVIDIA GPUs; null in a program built without them. Where there is no GPU the
/// table can be read, so that a plan can be made, but its ops not run.
const OpTable* cuda_ops();

/// llama_cpp_ops() on those GPUs; null likewise.
const OpTable* cuda_llama_cpp_ops();

}  // namespace neuros::kernels
