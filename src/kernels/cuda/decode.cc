#include "kernels/cuda/decode.h"

#include "base/check.h"
#include "kernels/cuda/activation_pieces.h"
#include "kernels/cuda/choice_values.h"
#include "kernels/cuda/decode_parameters.h"
#include "kernels/cuda/decode_shape.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/device_traits.h"
#include "kernels/cuda/halves_plan.h"
#include "kernels/cuda/prepare.h"

#include <algorithm>
#include <array>
#include <utility>

namespace neuros::kernels::cuda {
namespace {

using base::DType;

/// Tokens go through the scratch in batches; a multiple of the tokens a launch reads weights for.
constexpr int64_t kBatchTokens = kManyTokens;

/// At the end of the scratch: DecodeBatch::left.
constexpr int64_t kLeftBytes = int64_t{kLeftPanelsMax} * kPanelSumBytes;

/// A multiple of 256.
int64_t prepared_bytes(ActivationKind kind, int64_t tokens, int64_t cols) {
  return round_up(
      prepared_value_bytes(kind, tokens, cols) + prepared_scale_bytes(kind, tokens, cols), 256);
}

/// Whether there is a kernel of many tokens for activations of a kind, on this device.
bool takes_many(ActivationKind kind) {
  return kind != ActivationKind::kF32 && device_traits().wgmma;
}

using LaunchFn = void (*)(const OpContext&, const DecodeBatch&, const PreparedActivations*);

template <size_t... i>
constexpr std::array<LaunchFn, sizeof...(i)> make_launches(std::index_sequence<i...>) {
  return {launch_decode<static_cast<DType>(i)>...};
}
constexpr auto kLaunches = make_launches(std::make_index_sequence<base::kWeightDTypeCount>());

ChoiceKey key_of(DType dtype, const DecodeBatch& batch) {
  ChoiceKey key{.op = batch.gated ? ChoiceOp::kDecodeManyGated : ChoiceOp::kDecodeMany,
                .dtype = dtype,
                .cols = batch.source.cols,
                .tokens = batch.source.tokens};
  for (int i = 0; i < batch.task_count; ++i) key.rows += batch.tasks[i].rows;
  return key;
}

/// The launches of one batch of tokens. Activations are prepared once for each kind, in the same
/// scratch: launches follow one another.
class BatchLauncher {
 public:
  BatchLauncher(const OpContext& context, const ActivationSource& source,
                std::span<std::byte> scratch)
      : context_(context), source_(source), scratch_(scratch) {}
  /// Of activations that are there already.
  BatchLauncher(const OpContext& context, const ActivationSource& source, const HandedOn& handed)
      : context_(context),
        source_(source),
        scratch_(handed.rest),
        prepared_(handed.pieces),
        kind_(handed.kind),
        is_prepared_(true) {}

  void run(DType dtype, DecodeBatch batch) {
    batch.source = source_;
    const bool alone = prepares_itself(dtype, source_);
    if (!alone) {
      prepare_for(activation_kind(dtype));
      batch.choice = chosen_or(context_, key_of(dtype, batch), 0);
      batch.left = reinterpret_cast<float*>(scratch_.last(kLeftBytes).data());
      batch.meetings = meetings_of(context_).of_rows;
    }
    kLaunches.at(static_cast<size_t>(dtype))(context_, batch, alone ? nullptr : &prepared_);
  }

 private:
  void prepare_for(ActivationKind kind) {
    if (is_prepared_ && kind_ == kind) return;
    const int64_t values = prepared_value_bytes(kind, source_.tokens, source_.cols);
    const int64_t scales = prepared_scale_bytes(kind, source_.tokens, source_.cols);
    CHECK(values + scales + kLeftBytes <= std::ssize(scratch_),
          "activations need more than the scratch");
    prepared_ = {.values = scratch_.data(),
                 .scales = reinterpret_cast<float*>(scratch_.data() + values)};
    if (takes_many(kind)) prepared_.piece_bytes = piece_bytes(kind, source_.tokens);
    prepare(context_, {source_, kind, prepared_});
    kind_ = kind;
    is_prepared_ = true;
  }

  const OpContext& context_;
  const ActivationSource& source_;
  std::span<std::byte> scratch_;
  PreparedActivations prepared_;
  ActivationKind kind_ = ActivationKind::kQ8;
  bool is_prepared_ = false;
};

DecodeTask decode_task(const LinearTask& task, int64_t first) {
  const int64_t offset = first * task.weight.rows;
  return {.weight = task.weight.data,
          .bias = task.bias,
          .residual = task.residual == nullptr ? nullptr : task.residual + offset,
          .gate = nullptr,
          .y = task.y + offset,
          .rows = static_cast<int>(task.weight.rows)};
}

void run_tasks(BatchLauncher& launcher, std::span<const LinearTask> tasks, int64_t first) {
  std::array<bool, kTasksMax> done{};
  CHECK(tasks.size() <= done.size());
  // Types of one kind after another, so that each kind is prepared once.
  for (const auto kind :
       {ActivationKind::kQ8, ActivationKind::kBF16, ActivationKind::kF16, ActivationKind::kF32}) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      const DType dtype = tasks[i].weight.dtype;
      if (done[i] || activation_kind(dtype) != kind) continue;
      DecodeBatch batch;
      for (size_t j = i; j < tasks.size(); ++j) {
        if (tasks[j].weight.dtype != dtype) continue;
        batch.tasks[batch.task_count++] = decode_task(tasks[j], first);
        done[j] = true;
      }
      launcher.run(dtype, batch);
    }
  }
}

/// Gate and up in one launch: to `out`, or as pieces.
DecodeBatch gated_batch(const PackedMatrix& gate, const PackedMatrix& up, float* out,
                        const PreparedActivations& pieces) {
  DecodeBatch batch;
  batch.tasks[0] = decode_task({.weight = gate, .bias = nullptr, .residual = nullptr, .y = out}, 0);
  batch.tasks[1] = decode_task({.weight = up, .bias = nullptr, .residual = nullptr, .y = out}, 0);
  batch.task_count = 2;
  batch.gated = true;
  batch.pieces = pieces;
  return batch;
}

/// Gate and up in one launch where the type can; else gate to `out`, then up with out as its gate.
void run_swiglu(BatchLauncher& launcher, const PackedMatrix& gate, const PackedMatrix& up,
                float* out, int64_t first) {
  float* const to = out + first * gate.rows;
  if (gate.dtype == up.dtype && can_pair(gate.dtype)) {
    return launcher.run(gate.dtype, gated_batch(gate, up, to, {}));
  }
  DecodeBatch batch;
  batch.task_count = 1;
  batch.tasks[0] = decode_task({.weight = gate, .bias = nullptr, .residual = nullptr, .y = to}, 0);
  launcher.run(gate.dtype, batch);
  batch.tasks[0] = decode_task({.weight = up, .bias = nullptr, .residual = nullptr, .y = to}, 0);
  batch.tasks[0].gate = to;
  launcher.run(up.dtype, batch);
}

template <typename Run>
void in_batches(const OpContext& context, const ActivationSource& source,
                std::span<std::byte> scratch, Run run) {
  for (int64_t first = 0; first < source.tokens; first += kBatchTokens) {
    const ActivationSource batch =
        rows_of(source, first, std::min(kBatchTokens, source.tokens - first));
    BatchLauncher launcher(context, batch, scratch);
    run(launcher, first);
  }
}

}  // namespace

bool prepares_itself(DType dtype, const ActivationSource& source) {
  const ActivationKind kind = activation_kind(dtype);
  if (kind == ActivationKind::kF32 || source.tokens > kTileTokens) return false;
  const int64_t most = source.tokens == 1 ? kOwnColumnsMax : kOwnColumnsMax / 2;
  if (source.tokens * source.cols > most) return false;
  const DeviceTraits device = device_traits();
  const OwnActivations own =
      own_activations(kind, static_cast<int>(source.tokens), padded_columns(kind, source.cols));
  return decode_shared(Blocks::kLean, 1, chunk_bytes_of(dtype), device.compute_capability >= 80,
                       own)
      .fits(device.shared_bytes_max);
}

void decode_tasks(const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks, std::span<std::byte> scratch) {
  in_batches(context, source, scratch,
             [&](BatchLauncher& launcher, int64_t first) { run_tasks(launcher, tasks, first); });
}

void decode_swiglu(const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out,
                   std::span<std::byte> scratch) {
  in_batches(context, source, scratch, [&](BatchLauncher& launcher, int64_t first) {
    run_swiglu(launcher, gate, up, out, first);
  });
}

HandedOn hand_on(const PackedMatrix& weight, int64_t tokens, std::span<std::byte> scratch) {
  const ActivationKind kind = activation_kind(weight.dtype);
  const bool sees_parts = kind == ActivationKind::kQ8 || kind == ActivationKind::kBF16;
  if (!sees_parts || !takes_many(kind) || tokens > kBatchTokens) return {};
  if (prepares_itself(weight.dtype, {.tokens = tokens, .cols = weight.cols})) return {};
  if (weight.cols != padded_columns(kind, weight.cols)) return {};
  const int64_t bytes = prepared_bytes(kind, tokens, weight.cols);
  return {.pieces = {.values = scratch.data(), .piece_bytes = piece_bytes(kind, tokens)},
          .kind = kind,
          .rest = scratch.subspan(static_cast<size_t>(bytes))};
}

void decode_handed_on(const OpContext& context, const HandedOn& handed,
                      const ActivationSource& source, const LinearTask& task) {
  BatchLauncher launcher(context, source, handed);
  run_tasks(launcher, {&task, 1}, 0);
}

bool decode_swiglu_handed_on(const OpContext& context, const ActivationSource& source,
                             const PackedMatrix& gate, const PackedMatrix& up,
                             const HandedOn& handed) {
  const ActivationKind kind = activation_kind(gate.dtype);
  const bool is_half = kind == ActivationKind::kBF16 || kind == ActivationKind::kF16;
  if (handed.kind != ActivationKind::kBF16 || !is_half || gate.dtype != up.dtype) return false;
  if (!takes_many(kind) || prepares_itself(gate.dtype, source)) return false;
  BatchLauncher launcher(context, source, handed.rest);
  launcher.run(gate.dtype, gated_batch(gate, up, nullptr, handed.pieces));
  return true;
}

int64_t handed_on_bytes(const OpLimits& limits) {
  const int64_t tokens = std::min(limits.tokens, kBatchTokens);
  return round_up(std::max(prepared_bytes(ActivationKind::kQ8, tokens, limits.cols),
                           prepared_bytes(ActivationKind::kBF16, tokens, limits.cols)),
                  256);
}

int64_t decode_scratch_bytes(const OpLimits& limits) {
  const int64_t tokens = std::min(std::max(limits.tokens, limits.logit_rows), kBatchTokens);
  int64_t most = 0;
  for (const auto kind :
       {ActivationKind::kQ8, ActivationKind::kBF16, ActivationKind::kF16, ActivationKind::kF32}) {
    most = std::max(most, prepared_bytes(kind, tokens, limits.cols));
  }
  return round_up(most, 256) + handed_on_bytes(limits) + kLeftBytes;
}

}  // namespace neuros::kernels::cuda
