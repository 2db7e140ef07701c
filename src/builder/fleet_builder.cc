#include "builder/fleet_builder.h"

#include "base/byte_size.h"
#include "base/check.h"
#include "builder/kv_host.h"
#include "builder/negotiation.h"
#include "builder/precision_levels.h"
#include "builder/process_estimate.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace neuros::builder {
namespace {

constexpr int64_t kFrameBytesMost = int64_t{8} << 20;
/// A context that nobody asked for becomes so short rather than that weights leave the device.
constexpr int32_t kContextUsual = 4096;
constexpr int64_t kSegmentFrames = 64;  ///< of a large model's layer; the last one is not full

/// Of all models in one process. Boot loads one after the other.
plan::MemoryPlan sum_of_memory(const plan::FleetPlan& fleet) {
  const SharedProcess shared = shared_process(fleet.models.front());
  plan::MemoryPlan sum{.arenas_on_host = fleet.models.front().memory.arenas_on_host,
                       .driver = shared.driver,
                       .process = shared.process};
  for (const plan::Plan& model : fleet.models) {
    const plan::MemoryPlan& memory = model.memory;
    sum.weights += memory.weights;
    sum.kv += memory.kv;
    sum.activations += memory.activations;
    sum.scratch += memory.scratch;
    sum.shared = std::max(sum.shared, memory.shared);
    sum.host += memory.host;
    sum.kv_host += memory.kv_host;
    sum.staging = std::max(sum.staging, memory.staging);
    sum.metadata += memory.metadata;
    sum.process += memory.process - shared.process;
  }
  if (fleet.pages()) sum.weights = fleet.frames * fleet.frame_bytes;
  return sum;
}

constexpr int64_t kUnlimited = int64_t{1} << 60;

class FleetBuilder {
 public:
  FleetBuilder(std::vector<FleetModelRequest> models, const kernels::OpTable& ops,
               const FleetRequest& request)
      : models_(std::move(models)), ops_(ops), request_(request) {
    if (models_.size() < 2) return;  // nobody to take turns with
    for (FleetModelRequest& model : models_) model.plan.step_memory = plan::Region::kShared;
  }

  base::Result<plan::FleetPlan> build();

 private:
  base::Result<> add_wish(const FleetModelRequest& model);
  std::vector<size_t> measurable() const;
  base::Result<std::string> measure(size_t model);
  base::Result<Agreement> agree();
  int64_t frame_bytes() const;
  std::string id_of(size_t model) const;
  ModelDemand demand_of(size_t model) const;
  WorkBytes work_bytes_of(size_t model, int32_t context, int32_t full_contexts) const;
  FleetDemand demand() const;
  base::Result<plan::FleetPlan> plan_for(const Agreement& agreement) const;
  void add_allocations(plan::FleetPlan& fleet) const;
  void add_frames(const Agreement& agreement, plan::FleetPlan& fleet) const;

  std::vector<FleetModelRequest> models_;
  const kernels::OpTable& ops_;
  const FleetRequest request_;
  std::vector<plan::Plan> wished_;  ///< as if there were memory enough, weights as in the file
  std::vector<PrecisionLevels> levels_;
};

/// What models take in turn, against memory of its own for each.
void explain_sharing(plan::FleetPlan& fleet) {
  int64_t apart = 0;
  for (const plan::Plan& model : fleet.models) apart += model.memory.shared;
  if (apart == 0) return;
  const int64_t shared = fleet.memory.shared;
  fleet.reasons.push_back("activations: " + std::to_string(fleet.models.size()) + " models share " +
                          base::mebibytes(shared) + ", " + base::mebibytes(apart - shared) +
                          " less than apart");
}

bool gives_up_precision(const Agreement& agreement) {
  return std::ranges::any_of(agreement.models, [](const ModelGrant& grant) {
    return std::ranges::any_of(grant.levels, [](int32_t level) { return level > 0; });
  });
}

std::vector<std::vector<int32_t>> steps_of(const plan::Plan& plan) {
  std::vector<std::vector<int32_t>> steps;
  for (const plan::Segment& step : plan.program.segments) {
    steps.push_back(plan::segments_read(plan, step));
  }
  return steps;
}

base::Result<> FleetBuilder::add_wish(const FleetModelRequest& model) {
  PlanRequest request = model.plan;
  request.memory_bytes = kUnlimited;
  request.kv_host = {.bytes = 0, .free_bytes = 0};  // granted when all are planned
  wished_.push_back(TRY(make_plan(*model.checkpoint, model.program, ops_, request)));
  levels_.push_back(
      TRY(PrecisionLevels::create(*model.checkpoint, wished_.back(), ops_, model.terms.precision)));
  return {};
}

base::Result<plan::FleetPlan> FleetBuilder::build() {
  for (const FleetModelRequest& model : models_) {
    auto added = add_wish(model);
    if (!added) return tl::unexpected(with_context(added.error(), model.checkpoint->path));
  }
  return plan_for(TRY(agree()));
}

/// Models with a choice of precision that say how to measure what it does to them.
std::vector<size_t> FleetBuilder::measurable() const {
  std::vector<size_t> models;
  for (size_t i = 0; i < models_.size(); ++i) {
    if (models_[i].measure_importance && levels_[i].names().size() > 1) models.push_back(i);
  }
  return models;
}

/// Weighs what its weights lose; returns where that is from, as a reason.
base::Result<std::string> FleetBuilder::measure(size_t index) {
  const FleetModelRequest& model = models_[index];
  const Importance importance = TRY(model.measure_importance());
  levels_[index] = TRY(PrecisionLevels::create(*model.checkpoint, wished_[index], ops_,
                                               model.terms.precision, importance));
  return id_of(index) + ": sensitivity from " + importance.source;
}

/// What weights lose orders nothing but steps of precision, so it is measured only if there are.
base::Result<Agreement> FleetBuilder::agree() {
  const FleetDemand by_weights = demand();
  Agreement agreement = TRY(negotiate(by_weights));
  const std::vector<size_t> models = measurable();
  if (models.empty()) return agreement;
  if (!gives_up_precision(agreement)) {
    for (const size_t model : models) {
      agreement.reasons.push_back(id_of(model) + ": keeps its precision, so its sensitivity is " +
                                  "not measured");
    }
    return agreement;
  }
  std::vector<std::string> reasons;
  for (const size_t model : models) reasons.push_back(TRY(measure(model)));
  const FleetDemand by_products = demand();
  agreement = TRY(negotiate(by_products));
  std::ranges::move(reasons, std::back_inserter(agreement.reasons));
  return agreement;
}

/// Small enough that the last frame of a layer wastes little, large enough that mapping is cheap.
int64_t FleetBuilder::frame_bytes() const {
  int64_t largest = 0;
  for (const plan::Plan& plan : wished_) {
    std::vector<int64_t> bytes;
    for (const plan::SegmentPlacement& segment : plan.segments) bytes.push_back(segment.bytes);
    std::ranges::sort(bytes);
    largest = std::max(largest, bytes[bytes.size() / 2]);
  }
  const auto wanted = std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(largest, 1))) /
                      static_cast<uint64_t>(kSegmentFrames);
  return std::clamp(static_cast<int64_t>(wanted), request_.least_frame_bytes,
                    std::max(kFrameBytesMost, request_.least_frame_bytes));
}

ModelDemand FleetBuilder::demand_of(size_t index) const {
  const FleetModelRequest& model = models_[index];
  const plan::Plan& wished = wished_[index];
  const int32_t context = wished.limits.context;
  const bool allowed = model.terms.context_min > 0, asked = model.plan.context > 0;
  const int32_t shorter = allowed ? model.terms.context_min : asked ? context : kContextUsual;
  const int32_t least = std::min(context, shorter);
  return {.id = id_of(index),
          .priority = model.terms.priority,
          .pin = model.terms.pin,
          .context = context,
          .context_min = least,
          .context_least = allowed || asked ? least : std::min(context, kContextLeast),
          .full_contexts = full_contexts_of(wished),
          .onload_bytes_per_s = request_.rates[static_cast<size_t>(model.terms.home)],
          .scratch_bytes = model.plan.extra_scratch_bytes,
          .levels = levels_[index].names(),
          .groups = levels_[index].groups(),
          .segment_bytes = levels_[index].segment_bytes(),
          .steps = steps_of(wished),
          .work_bytes = [this, index](int32_t tokens, int32_t contexts) {
            return work_bytes_of(index, tokens, contexts);
          }};
}

/// Without what is asked for on top, which a demand has by itself.
WorkBytes FleetBuilder::work_bytes_of(size_t index, int32_t context, int32_t full_contexts) const {
  const PlanRequest& request = models_[index].plan;
  WorkBytes bytes = work_bytes_for(wished_[index], ops_, request, context, full_contexts);
  const bool shares = request.step_memory == plan::Region::kShared;
  (shares ? bytes.shared : bytes.own) -= request.extra_scratch_bytes;
  return bytes;
}

FleetDemand FleetBuilder::demand() const {
  FleetDemand fleet{.memory_bytes = request_.memory_bytes,
                    .frame_bytes = frame_bytes(),
                    .together = request_.together,
                    .onload_us_max = request_.onload_us_max};
  for (size_t i = 0; i < models_.size(); ++i) fleet.models.push_back(demand_of(i));
  return fleet;
}

base::Result<plan::FleetPlan> FleetBuilder::plan_for(const Agreement& agreement) const {
  plan::FleetPlan fleet{.residency = agreement.residency,
                        .budget_bytes = request_.memory_bytes,
                        .reasons = agreement.reasons};
  const bool pages = agreement.residency != plan::Residency::kAllStay;
  if (pages) fleet.frame_bytes = frame_bytes();
  for (size_t i = 0; i < models_.size(); ++i) {
    const ModelGrant& grant = agreement.models[i];
    PlanRequest request = models_[i].plan;
    request.memory_bytes = kUnlimited;
    request.kv_host = {.bytes = 0, .free_bytes = 0};
    request.context = grant.context;
    request.full_contexts = grant.full_contexts;
    request.weight_types = levels_[i].types_of(grant.levels);
    if (pages) request.segment_alignment = fleet.frame_bytes;
    fleet.models.push_back(
        TRY(make_plan(*models_[i].checkpoint, models_[i].program, ops_, request)));
    if (levels_[i].has_published() && !models_[i].terms.precision.empty()) {
      fleet.models.back().reasons.push_back("weights: quantised by their author, as they are");
    }
  }
  fleet.memory = sum_of_memory(fleet);
  if (pages) add_frames(agreement, fleet);
  explain_sharing(fleet);
  add_allocations(fleet);
  CHECK(fleet.device_bytes() <= request_.memory_bytes, "what was agreed on fits");
  return fleet;
}

std::string FleetBuilder::id_of(size_t model) const {
  const ModelTerms& terms = models_[model].terms;
  return terms.id.empty() ? wished_[model].program.name : terms.id;
}

void FleetBuilder::add_allocations(plan::FleetPlan& fleet) const {
  for (size_t i = 0; i < models_.size(); ++i) {
    const ModelTerms& terms = models_[i].terms;
    plan::Allocation allocation{.id = id_of(i),
                                .priority = std::string(sched::name(terms.priority)),
                                .stays = !fleet.pages() || terms.pin,
                                .home = terms.home};
    int64_t bytes = 0;
    for (const plan::SegmentPlacement& segment : fleet.models[i].segments) bytes += segment.bytes;
    for (size_t tier = 0; tier < request_.rates.size(); ++tier) {
      if (request_.rates[tier] <= 0) continue;
      const double seconds = static_cast<double>(bytes) / request_.rates[tier];
      allocation.onload_us[tier] = static_cast<int64_t>(seconds * 1e6);
    }
    for (size_t group = 0; group < request_.together.size(); ++group) {
      if (std::ranges::count(request_.together[group], static_cast<int32_t>(i)) > 0) {
        allocation.together.push_back(static_cast<int32_t>(group));
      }
    }
    fleet.allocations.push_back(std::move(allocation));
  }
}

/// All memory that is left is for weights, as far as there are so many.
void FleetBuilder::add_frames(const Agreement& agreement, plan::FleetPlan& fleet) const {
  int64_t all = 0;
  for (const plan::Plan& model : fleet.models) all += fleet.frames_of(model);
  const int64_t fixed = fleet.memory.arena_bytes() - fleet.memory.weights;
  fleet.frames = std::min((request_.memory_bytes - fixed) / fleet.frame_bytes, all);
  fleet.memory.weights = fleet.frames * fleet.frame_bytes;
  const char* kind = agreement.residency == plan::Residency::kStreams ? "within a pass" : "whole";
  fleet.reasons.push_back("frames: " + base::mebibytes(fleet.frames * fleet.frame_bytes) + " for " +
                          base::mebibytes(all * fleet.frame_bytes) +
                          " of weights, models are there " + kind);
}

}  // namespace

void count_on_shared(plan::FleetPlan& fleet) {
  const int64_t pinned = fleet.memory.host + fleet.memory.kv_host + plan::kUploadBytes +
                         fleet.home_bytes(plan::Home::kPinned);
  for (plan::Plan& model : fleet.models) {
    plan::MachineFacts& machine = model.machine;
    if (machine.host_bytes > 0) machine.host_bytes = fleet.peak_bytes();
    if (!machine.gpu) continue;
    machine.gpu->memory_bytes = fleet.device_bytes();
    machine.gpu->pinned_bytes = pinned;
  }
}

base::Result<plan::FleetPlan> make_fleet_plan(std::vector<FleetModelRequest> models,
                                              const kernels::OpTable& ops,
                                              const FleetRequest& request) {
  const int64_t host_bytes = models.empty() ? 0 : models.front().plan.machine.host_bytes;
  FleetRequest besides = request;
  besides.memory_bytes = TRY(budget_besides_kv_host(request.memory_bytes, request.kv_host, ops));
  plan::FleetPlan fleet = TRY(FleetBuilder(std::move(models), ops, besides).build());
  TRY(grant_kv_host(request.kv_host, host_bytes, fleet.models));
  fleet.budget_bytes = request.memory_bytes;
  fleet.memory = sum_of_memory(fleet);
  count_on_shared(fleet);
  return fleet;
}

}  // namespace neuros::builder
