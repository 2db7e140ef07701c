#include "pipeline/kernel_tuning.h"

#include "builder/builder.h"
#include "builder/synth.h"
#include "device/open_device.h"
#include "kernels/op_table.h"
#include "models/registry.h"
#include "pipeline/product_timer.h"
#include "pipeline/step_timer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <set>

namespace neuros::pipeline {
namespace {

using kernels::ChoiceKey;
using kernels::ChoiceOp;

constexpr int32_t kContext = 1024;
constexpr int32_t kBatchTokens = 2048;
constexpr int32_t kSequences = 64;

ChoiceKey key_of(const plan::KernelChoice& choice) {
  const auto op = kernels::choice_op_from_name(choice.op);
  return {op.value(), choice.dtype, choice.rows, choice.cols, choice.tokens};
}

/// The plan of a model, whatever a table says. Its weights are nowhere.
base::Result<plan::Plan> plan_spec(const std::string& spec, const kernels::OpTable& ops,
                                   const device::Device& device) {
  static const std::vector<kernels::ChoiceRow> kNoRows;
  const builder::SynthOutline outline = TRY(builder::outline_synth(spec));
  plan::Program program = TRY(models::make_program(outline.checkpoint));
  return builder::make_plan(outline.checkpoint, std::move(program), ops,
                            {.device = device.name(),
                             .device_kind = device.kind(),
                             .choices = &kNoRows,
                             .memory_bytes = static_cast<int64_t>(device.memory_bytes()),
                             .context = kContext,
                             .batch_tokens = kBatchTokens,
                             .sequences = kSequences,
                             .full_contexts = 1});
}

/// One session with a device.
class Tuner {
 public:
  Tuner(const TuningOptions& options, const kernels::OpTable& ops, device::Device& device)
      : options_(options), ops_(ops), device_(device) {}

  base::Result<std::vector<TunedLaunch>> run() {
    for (const std::string& spec : options_.models) {
      plans_.push_back(TRY(plan_spec(spec, ops_, device_)));
    }
    collect();
    if (products_.empty()) {
      return base::fail("tuning: kernels " + ops_.name + " have no choices on " + device_.name() +
                            ", a device of kind " + device_.kind(),
                        base::ErrorKind::kUnsupported);
    }
    TRY(tune_products());
    TRY(tune_steps());
    return std::move(launches_);
  }

 private:
  /// Of all models, every launch once.
  void collect() {
    std::set<ChoiceKey> seen;
    for (const plan::Plan& plan : plans_) {
      bool steps = false;
      for (const plan::KernelChoice& choice : plan.kernel_choices) {
        const ChoiceKey key = key_of(choice);
        if (key.op == ChoiceOp::kDecodeStep) {
          steps = true;
        } else if (seen.insert(key).second) {
          products_.push_back(key);
        }
      }
      if (steps) stepping_.push_back(&plan);
    }
  }

  base::Result<> tune_products() {
    const auto timer = TRY(ProductTimer::create(ops_, device_, products_));
    for (const ChoiceKey& key : products_) {
      tell(std::string(kernels::name(key.op)) + " " + std::string(base::name(key.dtype)));
      launches_.push_back(TRY(tune_launch(key, ops_.choice_values(device_.kind(), key), *timer)));
    }
    return {};
  }

  /// A model's matrices all one way, against how the kernels mix them. A matrix of two models stays
  /// with the first that has a row for it.
  base::Result<> tune_steps() {
    std::map<ChoiceKey, TunedLaunch> steps;
    for (const plan::Plan* plan : stepping_) {
      tell("steps of " + plan->model_path);
      const auto timer = TRY(StepTimer::create(*plan, ops_, device_));
      const ChoiceKey all{.op = ChoiceOp::kDecodeStep, .tokens = 1};
      const TunedLaunch model = TRY(tune_launch(all, kStepWays, *timer));
      for (const plan::KernelChoice& choice : plan->kernel_choices) {
        const ChoiceKey key = key_of(choice);
        if (key.op != ChoiceOp::kDecodeStep) continue;
        TunedLaunch launch = model;
        launch.best.key = key;
        launch.estimate = choice.value;
        if (!model.holds) launch.best.value = choice.value;
        launch.holds = model.holds && launch.best.value != choice.value;
        TunedLaunch& known = steps.try_emplace(key, launch).first->second;
        if (launch.holds && !known.holds) known = launch;
      }
    }
    for (const auto& [key, launch] : steps) launches_.push_back(launch);
    return {};
  }

  void tell(const std::string& what) {
    const auto all = static_cast<double>(products_.size() + stepping_.size());
    if (options_.on_progress) options_.on_progress(what, static_cast<double>(told_++) / all);
  }

  /// Of a whole model: the kernels' mix, all matrices by launches, all in one kernel.
  static constexpr std::array<int32_t, 3> kStepWays{-1, 0, 1};

  const TuningOptions& options_;
  const kernels::OpTable& ops_;
  device::Device& device_;
  std::vector<plan::Plan> plans_;
  std::vector<ChoiceKey> products_;
  std::vector<const plan::Plan*> stepping_;  ///< whose steps can be one kernel
  std::vector<TunedLaunch> launches_;
  size_t told_ = 0;
};

}  // namespace

std::vector<kernels::ChoiceRow> Tuning::rows() const {
  std::vector<kernels::ChoiceRow> rows;
  for (const TunedLaunch& launch : launches) {
    if (!launch.holds) continue;
    rows.push_back({device_kind, launch.best, launch.best_us, launch.estimate_us});
  }
  std::ranges::sort(rows, {}, [](const kernels::ChoiceRow& row) { return row.choice.key; });
  return rows;
}

base::Result<Tuning> tune_kernels(const TuningOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  const auto device = TRY(device::open_device(options.device, {}));
  const kernels::OpTable* ops = kernels::cuda_ops();
  if (device->memory_is_host() || ops == nullptr || ops->choice_values == nullptr) {
    return base::fail("tuning: the kernels of " + device->name() +
                          " have no choices; expected a GPU, as --device cuda",
                      base::ErrorKind::kUnsupported);
  }
  Tuning tuning{.device = device->name(), .device_kind = device->kind()};
  tuning.launches = TRY(Tuner(options, *ops, *device).run());
  tuning.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return tuning;
}

}  // namespace neuros::pipeline
