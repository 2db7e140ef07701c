#include "kernels/op_table.h"

#include "kernels/cuda/choice_values.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/op_pairs.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/step_program.h"

#include <algorithm>

namespace neuros::kernels {
namespace {

int64_t kept_bytes(const OpLimits& limits) {
  return cuda::batch_bytes(limits) + cuda::meetings_bytes(limits) + cuda::pass_state_bytes(limits);
}

int64_t scratch_bytes(const OpLimits& limits) {
  return kept_bytes(limits) + cuda::op_scratch_bytes(limits);
}

/// Passes of decode steps alone repeat: their launches depend on the number of rows, and
/// attention's on how long the longest sequence is, roughly. More rows than this are work enough to
/// launch.
constexpr uint64_t kRecordedRowsMax = 64;

uint64_t recording_key(const BatchView& view) {
  const auto decodes = [](const SequenceSlice& slice) { return slice.decodes; };
  if (!std::ranges::all_of(view.sequences, decodes)) return 0;
  const uint64_t rows = view.ids.size(), logit_rows = view.logit_rows.size();
  if (rows == 0 || rows > kRecordedRowsMax) return 0;
  const auto bucket = static_cast<uint64_t>(cuda::attention_bucket(view.sequences));
  return rows | logit_rows << 8 | bucket << 16;
}

template <typename Ops>
void run_collected(const OpContext& context, base::FunctionRef<void(const OpContext&)> ops) {
  Ops collected(context);
  OpContext collecting = context;
  collecting.fusion = &collected;
  ops(collecting);
  collected.flush();
}

/// A pass of one decode step is one launch, where there is a kernel for it; in others ops that
/// leave their results to the next one alone run with it.
void run_pass(const OpContext& context, const BatchView& view,
              base::FunctionRef<void(const OpContext&)> ops) {
  if (cuda::StepProgram::takes(view)) return run_collected<cuda::StepProgram>(context, ops);
  run_collected<cuda::OpPairs>(context, ops);
}

OpTable make_table() {
  OpTable table;
  table.name = "cuda";
  table.scratch_bytes = scratch_bytes;
  table.kept_bytes = kept_bytes;
  table.host_bytes = cuda::batch_bytes;
  table.stage_batch = cuda::stage_batch;
  table.recording_key = recording_key;
  table.run_pass = run_pass;
  table.choice_values = cuda::choice_values;
  table.shipped_choices = cuda::shipped_choices;
  table.embed = cuda::embed;
  table.rms_norm = cuda::rms_norm;
  table.rope_table = cuda::rope_table;
  table.qkv_rope = cuda::qkv_rope;
  table.attention = cuda::attention;
  table.gate_up = cuda::gate_up;
  table.logits = cuda::logits;
  table.top_logits = cuda::top_logits;
  table.conv1d_gelu = cuda::conv1d_gelu;
  table.encoder_attention = cuda::encoder_attention;
  table.linear = cuda::linear_kernels();
  return table;
}

}  // namespace

int64_t cuda::op_scratch_bytes(const OpLimits& limits) {
  constexpr int64_t kAlignment = 256;
  const int64_t most =
      std::max({linear_scratch_bytes(limits) + qkv_rope_scratch_bytes(limits),
                attention_scratch_bytes(limits), step_scratch_bytes(limits),
                top_logits_scratch_bytes(limits), conv1d_gelu_scratch_bytes(limits)});
  return (most + kAlignment - 1) / kAlignment * kAlignment;
}

const OpTable* cuda_ops() {
  static const OpTable table = make_table();
  return &table;
}

}  // namespace neuros::kernels
