#include "builder/fleet_builder.h"

#include "builder/process_estimate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>

namespace neuros::builder {
namespace {

constexpr int64_t kFrameBytesMost = int64_t{8} << 20;
constexpr int64_t kSegmentFrames = 64;  ///< of a large model's layer; the last one is not full

/// What a model gets of the memory that it would take if there were enough.
constexpr std::array kShares = {1.0, 0.75, 0.5, 0.35, 0.25, 0.175, 0.125, 0.09, 0.06};

int64_t fixed_bytes(const plan::Plan& plan) {
  return plan.memory.kv + plan.memory.activations + plan.memory.scratch;
}

std::string mib(int64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

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
    sum.host += memory.host;
    sum.staging = std::max(sum.staging, memory.staging);
    sum.metadata += memory.metadata;
    sum.process += memory.process - shared.process;
  }
  if (fleet.pages()) sum.weights = fleet.frames * fleet.frame_bytes;
  return sum;
}

class FleetBuilder {
 public:
  FleetBuilder(std::vector<FleetModelRequest> models, const kernels::OpTable& ops,
               const FleetRequest& request)
      : models_(std::move(models)), ops_(ops), request_(request) {}

  base::Result<plan::FleetPlan> build();

 private:
  base::Result<std::vector<plan::Plan>> plan_all(double share, int64_t alignment) const;
  int64_t frame_bytes() const;
  base::Result<plan::FleetPlan> page();
  base::Result<> try_share(double share, plan::FleetPlan& fleet) const;
  int64_t least_weight_frames(const plan::FleetPlan& fleet) const;
  int64_t largest_model_frames(const plan::FleetPlan& fleet) const;

  std::vector<FleetModelRequest> models_;
  const kernels::OpTable& ops_;
  const FleetRequest request_;
  std::vector<plan::Plan> wished_;  ///< as if there were memory enough
};

base::Result<std::vector<plan::Plan>> FleetBuilder::plan_all(double share,
                                                             int64_t alignment) const {
  std::vector<plan::Plan> plans;
  for (size_t i = 0; i < models_.size(); ++i) {
    PlanRequest request = models_[i].plan;
    request.segment_alignment = alignment;
    request.memory_bytes = int64_t{1} << 60;
    if (!wished_.empty()) {
      const auto wish = static_cast<double>(fixed_bytes(wished_[i]));
      const int64_t padding = alignment * static_cast<int64_t>(wished_[i].segments.size());
      request.memory_bytes = wished_[i].memory.weights + static_cast<int64_t>(wish * share);
      if (alignment > plan::kSegmentAlignment) request.memory_bytes += padding;
    }
    plans.push_back(TRY(make_plan(*models_[i].checkpoint, models_[i].program, ops_, request)));
  }
  return plans;
}

base::Result<plan::FleetPlan> FleetBuilder::build() {
  if (models_.empty()) return base::fail("plan: a fleet without models");
  wished_ = TRY(plan_all(1.0, plan::kSegmentAlignment));
  plan::FleetPlan fleet{.models = wished_, .budget_bytes = request_.memory_bytes};
  fleet.memory = sum_of_memory(fleet);
  if (fleet.device_bytes() <= request_.memory_bytes) {
    fleet.reasons.push_back("weights: all fit beside everything else, and stay");
    return fleet;
  }
  return page();
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

base::Result<plan::FleetPlan> FleetBuilder::page() {
  plan::FleetPlan fleet{.budget_bytes = request_.memory_bytes, .frame_bytes = frame_bytes()};
  std::optional<plan::FleetPlan> streams;  // feasible, but a model comes and goes within a pass
  std::optional<base::Error> last_error;
  for (const double share : kShares) {
    const auto tried = try_share(share, fleet);
    if (!tried) {
      if (!last_error || fleet.frames == 0) last_error = tried.error();
      continue;
    }
    const int64_t largest = largest_model_frames(fleet);
    if (fleet.frames >= largest) {
      fleet.reasons.push_back("weights: " + mib(fleet.frames * fleet.frame_bytes) +
                              " for layers of all models, beside " +
                              std::to_string(static_cast<int>(share * 100)) +
                              " % of the KV pages and work memory they would take");
      return fleet;
    }
    streams = fleet;
  }
  if (!streams) return tl::unexpected(*last_error);
  streams->reasons.push_back(
      "weights: the largest model does not fit: its layers come and go in "
      "every pass");
  return *streams;
}

/// Plans with so much of what was wished for, and frames for weights of what is left.
base::Result<> FleetBuilder::try_share(double share, plan::FleetPlan& fleet) const {
  auto plans = plan_all(share, fleet.frame_bytes);
  if (!plans) return tl::unexpected(plans.error());
  fleet.models = std::move(*plans);
  fleet.frames = 0;
  int64_t fixed = 0, all = 0;
  for (const plan::Plan& model : fleet.models) {
    fixed += fixed_bytes(model);
    all += fleet.frames_of(model);
  }
  const int64_t left = (request_.memory_bytes - fixed) / fleet.frame_bytes;
  const int64_t least = least_weight_frames(fleet);
  if (left < least) {
    return base::fail("plan: the models need " + mib(fixed) + " besides weights and " +
                          mib(least * fleet.frame_bytes) + " for the largest layer, budget " +
                          mib(request_.memory_bytes),
                      base::ErrorKind::kOutOfMemory);
  }
  fleet.frames = std::min(left, all);
  fleet.memory = sum_of_memory(fleet);
  return {};
}

/// For the step of any model that reads the most.
int64_t FleetBuilder::least_weight_frames(const plan::FleetPlan& fleet) const {
  int64_t least = 0;
  for (const plan::Plan& model : fleet.models) {
    for (const plan::Segment& step : model.program.segments) {
      std::set<int32_t> segments;
      for (const plan::Op& op : step.ops) {
        for (const plan::WeightRef* ref : plan::weights_of(op)) {
          segments.insert(model.find_weight(ref->name)->segment);
        }
      }
      int64_t frames = 0;
      for (const int32_t segment : segments) {
        const int64_t bytes = model.segments[static_cast<size_t>(segment)].bytes;
        frames += (bytes + fleet.frame_bytes - 1) / fleet.frame_bytes;
      }
      least = std::max(least, frames);
    }
  }
  return least;
}

int64_t FleetBuilder::largest_model_frames(const plan::FleetPlan& fleet) const {
  int64_t largest = 0;
  for (const plan::Plan& model : fleet.models) {
    largest = std::max(largest, fleet.frames_of(model));
  }
  return largest;
}

/// Models that share a machine count on what all of them need of its memory.
void count_on_shared(plan::FleetPlan& fleet) {
  int64_t pinned = fleet.memory.host + plan::kUploadBytes;
  for (const plan::Plan& model : fleet.models) {
    if (fleet.pages()) pinned += model.memory.weights;  // their home while they are not there
  }
  for (plan::Plan& model : fleet.models) {
    plan::MachineFacts& machine = model.machine;
    if (machine.host_bytes > 0) machine.host_bytes = fleet.memory.peak_bytes();
    if (!machine.gpu) continue;
    machine.gpu->memory_bytes = fleet.device_bytes();
    machine.gpu->pinned_bytes = pinned;
  }
}

}  // namespace

base::Result<plan::FleetPlan> make_fleet_plan(std::vector<FleetModelRequest> models,
                                              const kernels::OpTable& ops,
                                              const FleetRequest& request) {
  plan::FleetPlan fleet = TRY(FleetBuilder(std::move(models), ops, request).build());
  count_on_shared(fleet);
  return fleet;
}

}  // namespace neuros::builder
