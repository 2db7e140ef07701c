#include "kernels/cuda/linear.h"

#include "base/check.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device_batch.h"
#include "kernels/cuda/panel_pack.h"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/op_pairs.h"
#include "kernels/cuda/step_program.h"

#include <algorithm>
#include <string>

namespace neuros::kernels::cuda {
namespace {

using base::DType;

void run(const OpContext& context, const LinearArgs& args) {
  if (OpPairs* pairs = op_pairs(context); pairs != nullptr && pairs->add(args)) return;
  const LinearTask task = task_of(args);
  linear_tasks(context, source_of(args), {&task, 1}, op_scratch(context));
}

/// The instruction that decode steps are made of, for the plan.
std::string kernel_name(DType dtype) {
  const char* instruction = dtype == DType::kF32    ? "fma"
                            : dtype == DType::kF16  ? "mma-f16"
                            : dtype == DType::kBF16 ? "mma-bf16"
                                                    : "mma-s8";
  return std::string("cuda ") + instruction + " " + std::string(base::name(dtype));
}

}  // namespace

ActivationSource source_of(const LinearArgs& args) {
  return {.x = args.x,
          .norm_weight = nullptr,
          .rows = nullptr,
          .tokens = args.tokens,
          .decode_tokens = args.decode_tokens,
          .cols = args.weight.cols};
}

ActivationSource source_of(const GateUpArgs& args) {
  return {.x = args.x,
          .norm_weight = args.norm_weight,
          .epsilon = args.epsilon,
          .rows = nullptr,
          .tokens = args.tokens,
          .decode_tokens = args.decode_tokens,
          .cols = args.gate.cols};
}

LinearTask task_of(const LinearArgs& args) {
  return {.weight = args.weight, .bias = args.bias, .residual = args.residual, .y = args.y};
}

LinearTask task_from(LinearTask task, int64_t first) {
  task.y += first * task.weight.rows;
  if (task.residual != nullptr) task.residual += first * task.weight.rows;
  return task;
}

ActivationSource rows_of(const ActivationSource& source, int64_t first, int64_t count) {
  ActivationSource part = source;
  if (source.rows != nullptr) {
    part.rows += first;
  } else {
    part.x += first * source.cols;
  }
  part.tokens = count;
  part.decode_tokens = std::clamp<int64_t>(source.decode_tokens - first, 0, count);
  return part;
}

void linear_tasks(const OpContext& context, const ActivationSource& source,
                  std::span<const LinearTask> tasks, std::span<std::byte> scratch) {
  const int64_t decode = source.decode_tokens, rest = source.tokens - decode;
  CHECK(decode >= 0 && rest >= 0 && tasks.size() <= kTasksMax);
  if (StepProgram* step = step_program(context); step != nullptr && step->add(source, tasks)) {
    return;
  }
  if (decode > 0) decode_tasks(context, rows_of(source, 0, decode), tasks, scratch);
  if (rest == 0) return;
  std::array<LinearTask, kTasksMax> later;
  std::transform(tasks.begin(), tasks.end(), later.begin(),
                 [&](const LinearTask& task) { return task_from(task, decode); });
  prefill_tasks(context, rows_of(source, decode, rest), std::span(later).first(tasks.size()),
                scratch);
}

void linear_swiglu(const OpContext& context, const ActivationSource& source,
                   const PackedMatrix& gate, const PackedMatrix& up, float* out,
                   std::span<std::byte> scratch) {
  const int64_t decode = source.decode_tokens, rest = source.tokens - decode;
  CHECK(decode >= 0 && rest >= 0);
  if (StepProgram* step = step_program(context);
      step != nullptr && step->add_gated(source, gate, up, out)) {
    return;
  }
  if (decode > 0) decode_swiglu(context, rows_of(source, 0, decode), gate, up, out, scratch);
  if (rest == 0) return;
  prefill_swiglu(context, rows_of(source, decode, rest), gate, up, out + decode * gate.rows,
                 scratch);
}

int64_t linear_scratch_bytes(const OpLimits& limits) {
  return std::max(decode_scratch_bytes(limits), prefill_scratch_bytes(limits));
}

std::array<LinearKernel, base::kWeightDTypeCount> linear_kernels() {
  static const auto names = [] {
    std::array<std::string, base::kWeightDTypeCount> out;
    for (size_t i = 0; i < out.size(); ++i) out[i] = kernel_name(static_cast<DType>(i));
    return out;
  }();
  std::array<LinearKernel, base::kWeightDTypeCount> kernels;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const auto dtype = static_cast<DType>(i);
    kernels[i] = {.name = names[i].c_str(),
                  .packed_bytes = packed_bytes_function(dtype),
                  .pack = pack_function(dtype),
                  .unpack_row = unpack_row,
                  .run = run};
  }
  return kernels;
}

}  // namespace neuros::kernels::cuda
