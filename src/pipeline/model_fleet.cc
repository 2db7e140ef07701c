#include "pipeline/model_fleet.h"

#include "base/check.h"
#include "base/process_memory.h"
#include "builder/fleet_builder.h"
#include "device/open_device.h"
#include "pipeline/language_model_state.h"
#include "pipeline/measure_importance.h"
#include "pipeline/model_opening.h"
#include "pipeline/shared_models.h"
#include "runtime/fleet_trace.h"
#include "runtime/weight_cache.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <utility>

namespace neuros::pipeline {
namespace {

/// What a CPU, whose frames are pages of the host, maps at least.
constexpr int64_t kHostFrameBytes = 64 << 10;
constexpr int64_t kGpuFrameBytes = int64_t{2} << 20;

/// The models of a fleet before they are booted.
struct OpenedFleet {
  std::vector<std::string> ids;  ///< of each name
  SharedModels shared;
  FleetWishes wishes;
  std::vector<OpenedModel> models;  ///< of each file
};

base::Result<std::vector<std::string>> unique_ids(const std::vector<FleetModelOptions>& models) {
  std::vector<std::string> ids;
  for (const FleetModelOptions& model : models) {
    std::string id = model_id(model.name, model.path);
    if (std::ranges::count(ids, id) > 0) {
      return base::fail(model.path + ": a second model with the id " + id);
    }
    ids.push_back(std::move(id));
  }
  return ids;
}

base::Result<OpenedFleet> open_models(const std::vector<FleetModelOptions>& models,
                                      const ModelOptions& options, const FleetWishes& wishes) {
  OpenedFleet opened;
  opened.ids = TRY(unique_ids(models));
  opened.shared = share_models(models);
  opened.wishes = share_models(wishes, opened.shared);
  for (FleetModelOptions& model : opened.shared.models) {
    ModelOptions named = options;
    named.name = model.name;
    opened.models.push_back(TRY(open_model(model.path, named)));
    model.terms.id.clear();
  }
  for (size_t name = 0; name < opened.ids.size(); ++name) {
    std::string& id = opened.shared.models[opened.shared.of_name[name]].terms.id;
    id += (id.empty() ? "" : ", ") + opened.ids[name];
  }
  return opened;
}

builder::FleetModelRequest request_of(const OpenedModel& opened, const FleetModelOptions& model,
                                      const builder::PlanRequest& common, bool on_host) {
  builder::FleetModelRequest request{&opened.checkpoint, opened.program, common, model.terms};
  if (model.context > 0) request.plan.context = model.context;
  if (model.parallel > 0) request.plan.sequences = model.parallel;
  if (model.kv_dtype) request.plan.kv_dtype = *model.kv_dtype;
  request.plan.extra_scratch_bytes = model.scratch_bytes;
  request.terms.home = model.home.value_or(on_host ? plan::Home::kDisk : plan::Home::kPinned);
  return request;
}

/// How to measure a model on the text that it is given for that; reads the text.
base::Result<std::function<base::Result<builder::Importance>()>> importance_of(
    const OpenedModel& opened, const FleetModelOptions& model, const ModelOptions& options) {
  if (model.calibration.empty()) return {};
  CalibrationText text = TRY(read_calibration_text(model.calibration, *opened.tokenizer,
                                                   calibration_part_tokens(opened.program)));
  return [&opened, &options, text = std::move(text)] {
    return measure_importance(opened, text, options);
  };
}

/// Weights that are paged wait in pinned memory for a device that copies from there, and on the
/// disk for a CPU, whose memory is the budget. What goes beyond the host memory that is for them
/// waits further away.
void choose_homes(const std::vector<FleetModelOptions>& models, const FleetWishes& wishes,
                  plan::FleetPlan& fleet) {
  constexpr int64_t kUnlimited = int64_t{1} << 60;
  const auto limit = [](int64_t bytes) { return bytes > 0 ? bytes : kUnlimited; };
  int64_t pinned = limit(wishes.pinned_bytes), pageable = limit(wishes.pageable_bytes);
  for (size_t i = 0; i < models.size(); ++i) {
    plan::Home& home = fleet.allocations[i].home;
    const int64_t bytes = fleet.models[i].memory.weights;
    if (!models[i].home && home == plan::Home::kPinned && bytes > pinned) {
      home = plan::Home::kPageable;
    }
    if (!models[i].home && home == plan::Home::kPageable && bytes > pageable) {
      home = plan::Home::kDisk;
    }
    if (home == plan::Home::kPinned) pinned -= bytes;
    if (home == plan::Home::kPageable) pageable -= bytes;
  }
}

base::Result<plan::FleetPlan> make_plan(const OpenedFleet& opened, const ModelOptions& options,
                                        const TargetMachine& machine) {
  const std::vector<FleetModelOptions>& models = opened.shared.models;
  const FleetWishes& wishes = opened.wishes;
  const TunedChoices choices = TRY(read_choices(options));
  const builder::PlanRequest common = TRY(plan_request(options, machine, choices));
  const bool on_host = machine.facts.gpu == std::nullopt;
  std::vector<builder::FleetModelRequest> requests;
  for (size_t i = 0; i < models.size(); ++i) {
    requests.push_back(request_of(opened.models[i], models[i], common, on_host));
    requests.back().measure_importance = TRY(importance_of(opened.models[i], models[i], options));
  }
  plan::FleetPlan fleet =
      TRY(builder::make_fleet_plan(std::move(requests), *machine.ops,
                                   {.memory_bytes = common.memory_bytes,
                                    .kv_host = common.kv_host,
                                    .least_frame_bytes = on_host ? kHostFrameBytes : kGpuFrameBytes,
                                    .together = wishes.together,
                                    .onload_us_max = wishes.onload_us_max,
                                    .rates = machine.onload}));
  choose_homes(models, wishes, fleet);
  builder::count_on_shared(fleet);
  for (size_t name = 0; name < opened.ids.size(); ++name) {
    fleet.allocations[opened.shared.of_name[name]].names.push_back(opened.ids[name]);
  }
  return fleet;
}

/// What is left of the models that were opened has no weights.
std::vector<runtime::FleetMember> members_of(const plan::FleetPlan& plan,
                                             std::vector<OpenedModel>& opened,
                                             const ModelOptions& options) {
  std::vector<runtime::FleetMember> members;
  for (size_t i = 0; i < opened.size(); ++i) {
    members.push_back(
        {.plan = plan.models[i],
         .checkpoint = std::make_shared<const formats::Checkpoint>(std::move(opened[i].checkpoint)),
         .home = plan.allocations[i].home,
         .stays = plan.allocations[i].stays,
         .queue_max = options.queue_max,
         .observer = options.observer});
  }
  return members;
}

std::vector<runtime::FleetMember> members_of(const PreparedFleet& prepared,
                                             const BootOptions& options) {
  std::vector<runtime::FleetMember> members;
  for (size_t i = 0; i < prepared.models.size(); ++i) {
    const plan::Plan& plan = prepared.plan.models[i];
    members.push_back({.plan = plan,
                       .packed = prepared.models[i].weights,
                       .broken = prepared.models[i].broken,
                       .home = prepared.plan.allocations[i].home,
                       .stays = prepared.plan.allocations[i].stays,
                       .queue_max = options.queue_max});
  }
  return members;
}

device::FramePoolOptions frames_of(const plan::FleetPlan& plan) {
  return {.frame_bytes = static_cast<size_t>(plan.frame_bytes),
          .frames = static_cast<size_t>(plan.frames)};
}

/// A plan's device, with the workers it has scratch for.
base::Result<std::unique_ptr<device::Device>> open_planned_device(const plan::Plan& plan) {
  return device::open_device(plan.device, {.threads = plan.workers, .memory_bytes = 0});
}

runtime::FleetOptions fleet_options(const plan::FleetPlan& plan, const ModelOptions& options) {
  runtime::FleetOptions fleet;
  fleet.weights = frames_of(plan);
  fleet.load.on_progress = options.on_progress;
  fleet.boot = options.boot.value_or(sched::BootMode::kEager);
  fleet.load.weight_cache = weight_cache_folder(options, plan.models.front());
  fleet.folder =
      fleet.load.weight_cache.empty() ? runtime::default_weight_cache() : fleet.load.weight_cache;
  return fleet;
}

}  // namespace

struct ModelFleet::State {
  std::unique_ptr<device::Device> device;
  plan::FleetPlan plan;
  std::unique_ptr<runtime::FleetTrace> trace;
  std::unique_ptr<runtime::Fleet> fleet;  // before who uses its engines
  std::vector<std::unique_ptr<LanguageModel>> models;
  std::vector<std::string> ids;    ///< of each of those
  std::vector<size_t> planned_as;  ///< the same
  std::mutex mutex;
  std::vector<int32_t> expected;  ///< how often each model of the fleet is; guarded by mutex

  void open_doors(std::vector<OpenedModel> opened);
  /// Writes what the fleet does to a file; "": no.
  base::Result<> watch(const std::string& file, runtime::FleetOptions& options);
  /// The fleet's own indices from names, and back.
  void tell_of_boot(const std::vector<std::string>& order, const OnModelBoot& on_model_boot,
                    runtime::FleetOptions& options) const;
};

base::Result<plan::FleetPlan> plan_fleet(const std::vector<FleetModelOptions>& models,
                                         const ModelOptions& options, const FleetWishes& wishes) {
  const OpenedFleet opened = TRY(open_models(models, options, wishes));
  const TargetMachine machine = TRY(target_machine(options));
  return make_plan(opened, options, machine);
}

base::Result<std::unique_ptr<ModelFleet>> ModelFleet::open(
    const std::vector<FleetModelOptions>& models, ModelOptions options, const FleetWishes& wishes) {
  OpenedFleet opened = TRY(open_models(models, options, wishes));
  auto state = std::make_unique<State>();
  state->device = TRY(open_device(options));
  const TargetMachine machine = TRY(target_machine(options, *state->device));
  state->plan = TRY(make_plan(opened, options, machine));
  runtime::FleetOptions boot_options = fleet_options(state->plan, options);
  TRY(state->watch(options.trace, boot_options));
  state->ids = std::move(opened.ids);
  state->planned_as = std::move(opened.shared.of_name);
  state->tell_of_boot(wishes.boot_order, options.on_model_boot, boot_options);
  std::vector<runtime::FleetMember> members = members_of(state->plan, opened.models, options);
  return start(std::move(state), std::move(opened.models), std::move(members),
               std::move(boot_options));
}

base::Result<std::unique_ptr<ModelFleet>> ModelFleet::boot(PreparedFleet prepared,
                                                           const BootOptions& options) {
  CHECK(prepared.models.size() == prepared.plan.models.size());
  auto state = std::make_unique<State>();
  std::vector<OpenedModel> opened;
  for (size_t i = 0; i < prepared.models.size(); ++i) {
    PreparedModel& model = prepared.models[i];
    for (const std::string& id : prepared.plan.allocations[i].names) {
      state->ids.push_back(id);
      state->planned_as.push_back(i);
    }
    opened.push_back(
        TRY(describe_model(std::move(model.metadata), prepared.plan.models[i].program, model.id)));
  }
  state->device = TRY(open_planned_device(prepared.plan.models.front()));
  std::vector<runtime::FleetMember> members = members_of(prepared, options);
  runtime::FleetOptions boot_options;
  boot_options.weights = frames_of(prepared.plan);
  boot_options.load.on_progress = options.on_progress;
  boot_options.boot = options.boot;
  state->plan = std::move(prepared.plan);
  TRY(state->watch(options.trace, boot_options));
  state->tell_of_boot(options.order, options.on_model_boot, boot_options);
  return start(std::move(state), std::move(opened), std::move(members), std::move(boot_options));
}

base::Result<std::unique_ptr<ModelFleet>> ModelFleet::start(
    std::unique_ptr<State> state, std::vector<OpenedModel> opened,
    std::vector<runtime::FleetMember> members, runtime::FleetOptions options) {
  base::release_free_heap();  // of reading vocabularies: it is not in the plan
  state->fleet = TRY(runtime::Fleet::boot(std::move(members), *state->device, std::move(options)));
  state->open_doors(std::move(opened));
  base::release_free_heap();
  return std::unique_ptr<ModelFleet>(new ModelFleet(std::move(state)));
}

base::Result<> ModelFleet::State::watch(const std::string& file, runtime::FleetOptions& options) {
  if (file.empty()) return {};
  trace = TRY(runtime::FleetTrace::create(file, plan));
  options.observer = trace.get();
  return {};
}

void ModelFleet::State::tell_of_boot(const std::vector<std::string>& order,
                                     const OnModelBoot& on_model_boot,
                                     runtime::FleetOptions& options) const {
  const auto append = [&](size_t planned) {
    const auto model = static_cast<int32_t>(planned);
    if (std::ranges::count(options.order, model) == 0) options.order.push_back(model);
  };
  for (const std::string& id : order) {
    const auto name = std::ranges::find(ids, id);
    if (name == ids.end()) continue;
    append(planned_as[static_cast<size_t>(name - ids.begin())]);
  }
  for (size_t planned = 0; planned < plan.models.size(); ++planned) append(planned);
  const bool comes_late = options.boot == sched::BootMode::kOnDemand;
  options.on_model_boot = [this, on_model_boot, comes_late](size_t model,
                                                            const runtime::Engine& engine) {
    if (comes_late) base::release_free_heap();  // of the checkpoint: it is not in the plan
    if (on_model_boot) on_model_boot(plan.allocations[model].names, engine);
  };
}

/// Every name gets a door of its own to its model.
void ModelFleet::State::open_doors(std::vector<OpenedModel> opened) {
  expected.assign(opened.size(), 0);
  std::vector<const LanguageModel::State*> first(opened.size(), nullptr);
  for (size_t name = 0; name < ids.size(); ++name) {
    const size_t planned = planned_as[name];
    std::unique_ptr<LanguageModel::State> door;
    if (first[planned] == nullptr) {
      opened[planned].id = ids[name];
      door = std::make_unique<LanguageModel::State>(std::move(opened[planned]),
                                                    fleet->engine(planned));
      first[planned] = door.get();
    } else {
      door = std::make_unique<LanguageModel::State>(*first[planned], ids[name]);
    }
    models.emplace_back(new LanguageModel(std::move(door)));
  }
}

ModelFleet::ModelFleet(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelFleet::~ModelFleet() = default;

const std::vector<std::unique_ptr<LanguageModel>>& ModelFleet::models() const {
  return state_->models;
}
const plan::FleetPlan& ModelFleet::plan() const {
  return state_->plan;
}
size_t ModelFleet::planned_as(size_t model) const {
  return state_->planned_as.at(model);
}

void ModelFleet::expect(size_t model, bool expected) {
  const size_t planned = planned_as(model);
  const std::lock_guard lock(state_->mutex);
  int32_t& count = state_->expected[planned];
  count += expected ? 1 : -1;
  CHECK(count >= 0, "expected no more, more often than it was");
  if (count == (expected ? 1 : 0)) state_->fleet->expect(planned, expected);
}

runtime::Fleet& ModelFleet::fleet() {
  return *state_->fleet;
}

}  // namespace neuros::pipeline
