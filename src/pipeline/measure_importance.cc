#include "pipeline/measure_importance.h"

#include "builder/builder.h"
#include "pipeline/fixed_tokens.h"
#include "pipeline/input_squares.h"
#include "runtime/engine.h"

#include <algorithm>
#include <utility>

namespace neuros::pipeline {
namespace {

constexpr int64_t kPartTokensMost = 512;

/// One part of the text after another, each in one pass.
base::Result<plan::Plan> plan_for(const OpenedModel& model, const ModelOptions& options,
                                  const device::Device& device) {
  const TargetMachine machine = TRY(target_machine(options, device));
  builder::PlanRequest request = TRY(plan_request(options, machine, std::nullopt));
  request.context = static_cast<int32_t>(calibration_part_tokens(model.program));
  request.batch_tokens = request.context;
  request.sequences = 1;
  request.full_contexts = 1;
  return builder::make_plan(model.checkpoint, model.program, *machine.ops, request);
}

/// A pass reads all weights once.
base::Result<> run(runtime::Engine& engine, const CalibrationText& text,
                   const runtime::OnLoadProgress& on_progress) {
  const int64_t weights = engine.plan().memory.weights;
  runtime::LoadProgress progress{
      .stage = "calibrating", .done_bytes = 0, .total_bytes = weights * std::ssize(text.parts)};
  for (const std::vector<int32_t>& part : text.parts) {
    if (on_progress) on_progress(progress);
    TRY(run_fixed(engine, part, 0));
    progress.done_bytes += weights;
  }
  if (on_progress) on_progress(progress);
  return {};
}

base::Result<builder::Importance> measure(const OpenedModel& model, const CalibrationText& text,
                                          const ModelOptions& options) {
  ModelOptions on_cpu;
  on_cpu.threads = options.threads;
  const auto device = TRY(open_device(on_cpu));
  plan::Plan plan = TRY(plan_for(model, on_cpu, *device));
  InputSquares squares(plan.program);
  const auto engine = TRY(runtime::Engine::boot(
      std::move(plan), model.checkpoint, *device,
      {.load = {.weight_cache = "", .on_progress = options.on_progress}, .observer = &squares}));
  TRY(run(*engine, text, options.on_progress));
  return squares.importance(text.description());
}

}  // namespace

size_t calibration_part_tokens(const plan::Program& program) {
  return static_cast<size_t>(std::min(kPartTokensMost, program.context_trained));
}

base::Result<builder::Importance> measure_importance(const OpenedModel& model,
                                                     const CalibrationText& text,
                                                     const ModelOptions& options) {
  auto importance = measure(model, text, options);
  if (importance) return importance;
  return tl::unexpected(base::with_context(
      importance.error(), "calibration of " + model.checkpoint.path + " by " + text.path));
}

}  // namespace neuros::pipeline
