#include "kernels/cuda/step_program.h"

#include "base/check.h"
#include "kernels/cuda/choice_values.h"
#include "kernels/cuda/decode_shape.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/fragment_layout.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace neuros::kernels::cuda {
namespace {

using base::DType;

constexpr int kBlockHeads = 8;  ///< query heads that attention takes at once

/// NEUROS_CUDA_PATH, for tests: "launches" and "generic" keep every op to its own kernels.
bool is_wanted() {
  const char* given = std::getenv("NEUROS_CUDA_PATH");
  const std::string_view path = given == nullptr ? "" : given;
  return path != "launches" && path != "generic";
}

int64_t floats_bytes(int64_t count) {
  return round_up(count * static_cast<int64_t>(sizeof(float)), 256);
}

StepTask step_task(const PackedMatrix& weight, const float* bias, float* y) {
  const int chunk_bytes = chunk_bytes_of(weight.dtype);
  return {.weight = weight.data,
          .bias = bias,
          .y = y,
          .rows = static_cast<int32_t>(weight.rows),
          .chunks = static_cast<uint16_t>(panel_bytes(weight.dtype, weight.cols) / chunk_bytes),
          .chunk_units = static_cast<uint8_t>(chunk_bytes / 16),
          .dtype = weight.dtype};
}

/// The product of a source, its tasks still missing.
StepProduct step_product(const ActivationSource& source, ActivationKind kind) {
  StepProduct product;
  product.x = source.x;
  product.norm_weight = source.norm_weight;
  product.epsilon = source.epsilon;
  product.cols = static_cast<int32_t>(source.cols);
  const auto columns = static_cast<int>(padded_columns(kind, source.cols));
  while ((1 << product.log_groups) < column_groups(columns)) ++product.log_groups;
  return product;
}

/// Of gated tasks, which have the same rows, a share counts one of them.
void deal_panels(StepProduct& product) {
  const int blocks = device_traits().multiprocessors;
  int64_t panels = 0;
  for (int i = 0; i < kTasksMax; ++i) {
    if (i < product.task_count && !(product.gated && i > 0)) {
      panels += panel_count(product.tasks[i].rows);
    }
    product.shares[i] = {.each = static_cast<uint16_t>(panels / blocks),
                         .rest = static_cast<uint16_t>(panels % blocks)};
  }
}

/// Prepared activations of one row, in shared memory.
int64_t prepared_bytes(ActivationKind kind, int64_t cols) {
  const OwnActivations own = own_activations(kind, 1, padded_columns(kind, cols));
  return own.values + own.scales;
}

int64_t tile_bytes(int64_t head_dim) {
  constexpr int64_t kPositions = 64, kPadding = 8;
  return 2 * (head_dim * (kPositions + kPadding) + kPositions * (head_dim + kPadding));
}

bool is_aligned(const ActivationSource& source) {
  const auto address = reinterpret_cast<uintptr_t>(source.x);
  const auto norm = reinterpret_cast<uintptr_t>(source.norm_weight);
  return source.cols % 4 == 0 && address % 16 == 0 && norm % 16 == 0;
}

/// What the phases of a launch have in common.
HeadsView without_layer(HeadsView view) {
  view.q = nullptr;
  view.k = view.v = view.q_norm = view.k_norm = nullptr;
  view.layer = nullptr;
  return view;
}
AttentionView without_layer(AttentionView view) {
  view.q = nullptr;
  view.out = nullptr;
  view.layer = nullptr;
  view.window = 0;
  return view;
}

bool has_kernel(const AttentionArgs& args) {
  const KvLayout& layout = args.kv.layout;
  const bool is_half = layout.dtype == DType::kF16 || layout.dtype == DType::kBF16;
  return is_half && (layout.head_dim == 64 || layout.head_dim == 128);
}

/// Parts of pass_state(), offsets in bytes.
struct StateLayout {
  int64_t set_words, sets, sums, end;
  int32_t splits;

  explicit StateLayout(const OpLimits& limits) {
    // What phases of 30 to 40 layers leave to each other; a pass of more is several launches.
    constexpr int64_t kWordsOfColumn = 128;
    set_words = round_up(kWordsOfColumn * limits.cols, 64);
    splits = attention_splits_max(
        static_cast<int32_t>(std::min<int64_t>(limits.context, kStepPositionsMax)));
    sets = round_up(sizeof(StepState), 256);
    sums = sets + 2 * set_words * static_cast<int64_t>(sizeof(uint32_t));
    end = sums + round_up(limits.heads * splits * split_sums_bytes(limits.head_dim), 256);
  }
};

}  // namespace

int64_t pass_state_bytes(const OpLimits& limits) {
  return StateLayout(limits).end;
}

StepProgram::StepProgram(const OpContext& context) : context_(context) {
  std::byte* const state = pass_state(context).data();
  const StateLayout layout(context.limits);
  launch_.state = reinterpret_cast<StepState*>(state);
  launch_.sets = reinterpret_cast<uint32_t*>(state + layout.sets);
  launch_.set_words = static_cast<int32_t>(layout.set_words);
}

bool StepProgram::takes(const BatchView& view) {
  if (view.ids.size() != 1 || view.sequences.size() != 1) return false;
  const SequenceSlice& slice = view.sequences.front();
  return slice.decodes && slice.first_position < kStepPositionsMax &&
         device_traits().compute_capability == 90 && is_wanted();
}

bool StepProgram::takes_matrix(const PackedMatrix& weight, ActivationKind kind) const {
  const bool is_other = launch_.phase_count > 0 && launch_.activations != kind;
  if (is_other || activation_kind(weight.dtype) != kind) return false;
  const ChoiceKey key{.op = ChoiceOp::kDecodeStep,
                      .dtype = weight.dtype,
                      .rows = weight.rows,
                      .cols = weight.cols,
                      .tokens = 1};
  return fits_step(key) && chosen_or(context_, key, 1) != 0;
}

bool StepProgram::add(const ActivationSource& source, std::span<const LinearTask> tasks) {
  if (heads_pending_ || !has_words_for(2 * context_.limits.cols)) flush();
  const ActivationKind kind = activation_kind(tasks.front().weight.dtype);
  StepProduct product = step_product(source, kind);
  for (const LinearTask& task : tasks) {
    const bool fits = is_aligned(source) && takes_matrix(task.weight, kind) &&
                      (task.residual == nullptr || tasks.size() == 1);
    if (!fits) {
      flush();
      return false;
    }
    product.tasks[product.task_count++] = step_task(task.weight, task.bias, task.y);
    product.residual = task.residual;
    if (task.residual != nullptr) product.residual_words = words_of(task.residual);
  }
  append(product);
  return true;
}

bool StepProgram::add_gated(const ActivationSource& source, const PackedMatrix& gate,
                            const PackedMatrix& up, float* out) {
  if (heads_pending_ || !has_words_for(2 * context_.limits.cols)) flush();
  const ActivationKind kind = activation_kind(gate.dtype);
  if (!is_aligned(source) || !takes_matrix(gate, kind) || !takes_matrix(up, kind)) {
    flush();
    return false;
  }
  StepProduct product = step_product(source, kind);
  product.tasks[0] = step_task(gate, nullptr, out);
  product.tasks[1] = step_task(up, nullptr, out);
  product.task_count = 2;
  product.gated = true;
  append(product);
  return true;
}

bool StepProgram::add(const QkvRopeArgs& args) {
  if (launch_.phase_count + 2 > kStepPhasesMax) flush();  // their attention is in the same launch
  const std::span<std::byte> scratch = op_scratch(context_);
  const int64_t bytes = floats_bytes(args.wk.rows);
  CHECK(2 * bytes <= std::ssize(scratch), "scratch: less than scratch_bytes() asked for");
  auto* k = reinterpret_cast<float*>(scratch.data());
  auto* v = reinterpret_cast<float*>(scratch.data() + bytes);
  const std::array<LinearTask, 3> tasks{
      {{.weight = args.wq, .bias = args.bq, .residual = nullptr, .y = args.q},
       {.weight = args.wk, .bias = args.bk, .residual = nullptr, .y = k},
       {.weight = args.wv, .bias = args.bv, .residual = nullptr, .y = v}}};
  const ActivationSource source{.x = args.x,
                                .norm_weight = args.norm_weight,
                                .epsilon = args.epsilon,
                                .tokens = 1,
                                .decode_tokens = 1,
                                .cols = args.wq.cols};
  if (!add(source, tasks)) return false;
  heads_ = args;
  unfinished_ = heads_view(context_, args, k, v);
  heads_pending_ = true;
  return true;
}

bool StepProgram::add(const AttentionArgs& args) {
  const int64_t words = int64_t{args.heads} * 3 * args.kv.layout.head_dim;
  const int count = launch_.phase_count;  // there is a phase more between two of attention
  const bool follows = count > 1 && launch_.phases[count - 2].kind() == StepKind::kAttention;
  if (!heads_pending_ || heads_.q != args.q || heads_.layer != args.layer ||
      heads_.kv.arena != args.kv.arena || !has_kernel(args) || !has_words_for(words) || follows) {
    flush();
    return false;
  }
  const AttentionView view = attention_view(args, batch_of(context_), 0);
  StepHeads common;
  common.dtype = args.kv.layout.dtype;
  common.head_blocks = (view.group + kBlockHeads - 1) / kBlockHeads;
  StepPhase phase;
  phase.attention = {.kind = StepKind::kAttention,
                     .q_words = words_of(unfinished_.q),
                     .k_words = words_of(unfinished_.k),
                     .v_words = words_of(unfinished_.v),
                     .out = args.out,
                     .q_norm = unfinished_.q_norm,
                     .k_norm = unfinished_.k_norm,
                     .layer = unfinished_.layer,
                     .window = args.window};
  common.heads = without_layer(unfinished_);
  common.attention = without_layer(view);
  if (!set_common(common)) {
    flush();
    return false;
  }
  heads_pending_ = false;
  const int64_t before = round_up(prepared_bytes(launch_.activations, heads_.wq.cols), 128);
  launch_.tile_offset = std::max(launch_.tile_offset, static_cast<int32_t>(before));
  append(phase, launch_.tile_offset + tile_bytes(view.head_dim));
  return true;
}

bool StepProgram::set_common(StepHeads& common) {
  const StateLayout layout(context_.limits);
  common.splits = layout.splits;
  common.sums = pass_state(context_).data() + layout.sums;
  if (has_attention_ && !(launch_.heads == common)) return false;
  launch_.heads = common;
  has_attention_ = true;
  return true;
}

bool StepProgram::has_words_for(int64_t count) const {
  constexpr int64_t kRounding = 4 * 4;
  return launch_.words + count + kRounding <= launch_.set_words;
}

StepWords StepProgram::new_words(int64_t count) {
  const StepWords first = launch_.words;
  launch_.words += static_cast<int32_t>(round_up(count, 4));
  CHECK(launch_.words <= launch_.set_words);
  return first;
}

StepWords StepProgram::words_of(const float* row) {
  const auto given = [&](StepWords& words, int64_t count) {
    if (words == kNoWords) words = new_words(count);
    return words;
  };
  for (int i = launch_.phase_count - 1; i >= 0; --i) {
    StepPhase& phase = launch_.phases[i];
    if (phase.kind() == StepKind::kAttention) {
      const AttentionView& view = launch_.heads.attention;
      if (phase.attention.out != row) continue;
      return given(phase.attention.out_words, int64_t{view.heads} * view.head_dim);
    }
    for (int t = phase.product.gated ? 1 : 0; t < phase.product.task_count; ++t) {
      StepTask& task = phase.product.tasks[t];
      if (task.y == row) return given(task.y_words, task.rows);
    }
  }
  return kNoWords;
}

void StepProgram::append(StepProduct product) {
  launch_.activations = activation_kind(product.tasks[0].dtype);
  product.x_words = words_of(product.x);
  deal_panels(product);
  const StepTask* const end = product.tasks + product.task_count;
  for (const StepTask* task = product.tasks; task != end; ++task) {
    const int chunk_bytes = 16 * task->chunk_units;
    launch_.chunk_bytes_max = std::max(launch_.chunk_bytes_max, chunk_bytes);
    product.is_mixed = product.is_mixed || task->dtype != product.tasks[0].dtype;
  }
  StepPhase phase;
  phase.product = product;
  append(phase, prepared_bytes(launch_.activations, product.cols));
}

void StepProgram::append(const StepPhase& phase, int64_t area_bytes) {
  if (phase.kind() == StepKind::kAttention) announce_attention();
  launch_.phases[launch_.phase_count++] = phase;
  launch_.area_bytes =
      std::max(launch_.area_bytes, static_cast<int32_t>(round_up(area_bytes, 128)));
  if (launch_.phase_count == kStepPhasesMax) flush();
}

void StepProgram::announce_attention() {
  const int32_t next = launch_.phase_count;
  const auto is_product = [&](int32_t index) {
    return index >= 0 && launch_.phases[index].kind() == StepKind::kProduct;
  };
  if (is_product(next - 1)) launch_.phases[next - 1].product.attention_is_next = true;
  if (is_product(next - 2)) launch_.phases[next - 2].product.attention_is_after_next = true;
}

void StepProgram::flush() {
  if (launch_.phase_count > 0) launch_step(context_, launch_);
  if (heads_pending_) finish_heads(context_, heads_.kv.layout.dtype, unfinished_, 1, 1);
  heads_pending_ = false;
  has_attention_ = false;
  launch_.heads = {};
  launch_.words = 0;
  launch_.phase_count = 0;
  launch_.chunk_bytes_max = 0;
  launch_.area_bytes = 0;
  launch_.tile_offset = 0;
}

int64_t step_scratch_bytes(const OpLimits& limits) {
  return 2 * floats_bytes(limits.heads * limits.head_dim);
}

}  // namespace neuros::kernels::cuda
