#include "pipeline/model_fleet.h"

#include "base/process_memory.h"
#include "builder/fleet_builder.h"
#include "pipeline/language_model_state.h"
#include "pipeline/model_opening.h"
#include "runtime/weight_cache.h"

#include <set>
#include <utility>

namespace neuros::pipeline {
namespace {

/// What a CPU, whose frames are pages of the host, maps at least.
constexpr int64_t kHostFrameBytes = 64 << 10;
constexpr int64_t kGpuFrameBytes = int64_t{2} << 20;

base::Result<std::vector<OpenedModel>> open_models(const std::vector<FleetModelOptions>& models,
                                                   const ModelOptions& options) {
  std::vector<OpenedModel> opened;
  std::set<std::string> ids;
  for (const FleetModelOptions& model : models) {
    ModelOptions named = options;
    named.name = model.name;
    opened.push_back(TRY(open_model(model.path, named)));
    if (ids.insert(opened.back().id).second) continue;
    return base::fail(model.path + ": a second model with the id " + opened.back().id);
  }
  return opened;
}

base::Result<plan::FleetPlan> make_plan(const std::vector<OpenedModel>& opened,
                                        const ModelOptions& options, const TargetMachine& machine) {
  const TunedChoices choices = TRY(read_choices(options));
  const builder::PlanRequest request = TRY(plan_request(options, machine, choices));
  std::vector<builder::FleetModelRequest> requests;
  for (const OpenedModel& model : opened) {
    requests.push_back({&model.checkpoint, model.program, request});
  }
  return builder::make_fleet_plan(
      std::move(requests), *machine.ops,
      {.memory_bytes = request.memory_bytes,
       .least_frame_bytes = machine.facts.gpu == std::nullopt ? kHostFrameBytes : kGpuFrameBytes});
}

/// Weights that are paged lie in pinned memory for a device that copies from there, and on the disk
/// for a CPU, whose memory is the budget.
std::vector<runtime::FleetMember> members_of(const plan::FleetPlan& plan,
                                             const std::vector<OpenedModel>& opened,
                                             const ModelOptions& options) {
  std::vector<runtime::FleetMember> members;
  for (size_t i = 0; i < opened.size(); ++i) {
    const bool on_host = plan.models[i].memory.arenas_on_host;
    members.push_back({.plan = plan.models[i],
                       .checkpoint = &opened[i].checkpoint,
                       .home = on_host ? runtime::WeightTier::kDisk : runtime::WeightTier::kPinned,
                       .queue_max = options.queue_max,
                       .observer = options.observer});
  }
  return members;
}

runtime::FleetOptions fleet_options(const plan::FleetPlan& plan, const ModelOptions& options) {
  runtime::FleetOptions fleet;
  fleet.weights = {.frame_bytes = static_cast<size_t>(plan.frame_bytes),
                   .frames = static_cast<size_t>(plan.frames)};
  fleet.load.on_progress = options.on_progress;
  fleet.load.weight_cache = weight_cache_folder(options, plan.models.front());
  fleet.folder =
      fleet.load.weight_cache.empty() ? runtime::default_weight_cache() : fleet.load.weight_cache;
  return fleet;
}

}  // namespace

struct ModelFleet::State {
  std::unique_ptr<device::Device> device;
  plan::FleetPlan plan;
  std::unique_ptr<runtime::Fleet> fleet;  // before who uses its engines
  std::vector<std::unique_ptr<LanguageModel>> models;
};

base::Result<plan::FleetPlan> plan_fleet(const std::vector<FleetModelOptions>& models,
                                         const ModelOptions& options) {
  const std::vector<OpenedModel> opened = TRY(open_models(models, options));
  const TargetMachine machine = TRY(target_machine(options));
  return make_plan(opened, options, machine);
}

base::Result<std::unique_ptr<ModelFleet>> ModelFleet::open(
    const std::vector<FleetModelOptions>& models, ModelOptions options) {
  std::vector<OpenedModel> opened = TRY(open_models(models, options));
  auto state = std::make_unique<State>();
  state->device = TRY(open_device(options));
  const TargetMachine machine = TRY(target_machine(options, *state->device));
  state->plan = TRY(make_plan(opened, options, machine));
  base::release_free_heap();
  runtime::FleetOptions boot_options = fleet_options(state->plan, options);
  std::vector<runtime::FleetMember> members = members_of(state->plan, opened, options);
  state->fleet =
      TRY(runtime::Fleet::boot(std::move(members), *state->device, std::move(boot_options)));
  for (size_t i = 0; i < opened.size(); ++i) {
    auto model =
        std::make_unique<LanguageModel::State>(std::move(opened[i]), state->fleet->engine(i));
    state->models.emplace_back(new LanguageModel(std::move(model)));
  }
  opened.clear();
  base::release_free_heap();
  return std::unique_ptr<ModelFleet>(new ModelFleet(std::move(state)));
}

ModelFleet::ModelFleet(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelFleet::~ModelFleet() = default;

const std::vector<std::unique_ptr<LanguageModel>>& ModelFleet::models() const {
  return state_->models;
}
const plan::FleetPlan& ModelFleet::plan() const {
  return state_->plan;
}
runtime::Fleet& ModelFleet::fleet() {
  return *state_->fleet;
}

}  // namespace neuros::pipeline
