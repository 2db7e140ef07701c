#pragma once

/// Offline: models that share a device, and its memory in; the plans of all of them out.

#include "base/result.h"
#include "builder/builder.h"
#include "builder/importance.h"
#include "plan/fleet_plan.h"
#include "sched/ids.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace neuros::builder {

/// What may be taken from a model where memory is short, and what not.
struct ModelTerms {
  std::string id{};  ///< for people; "": the program's name
  sched::Priority priority = sched::Priority::kMedium;
  bool pin = false;                       ///< weights never leave the device
  plan::Home home = plan::Home::kPinned;  ///< where they wait otherwise
  /// Tokens, the least that will do; 0: the context that was asked for, or, if none was, 256.
  int32_t context_min = 0;
  /// Names of type mixes, best first, for weights that are floats in the file; none: as there.
  std::vector<std::string> precision{};
};

struct FleetModelRequest {
  const formats::Checkpoint* checkpoint = nullptr;
  plan::Program program;
  PlanRequest plan;  ///< its memory, weight types, alignment and step memory are the fleet's to say
  ModelTerms terms{};
  /// Measures how the model is used. It takes its time, so it is called once, where precision has
  /// to be given up; empty: weights are judged by themselves.
  std::function<base::Result<Importance>()> measure_importance{};
};

struct FleetRequest {
  int64_t memory_bytes = 0;  ///< budget on the device, for everything of all models
  KvHostRequest kv_host{};   ///< of all models
  int64_t least_frame_bytes = int64_t{2} << 20;  ///< a power of two; what the device can map
  /// Models, by index, that a request wants to run at the same time.
  std::vector<std::vector<int32_t>> together{};
  int64_t onload_us_max = 0;  ///< the longest that a request may wait for weights; 0: not asked
  plan::OnloadRates rates{};
};

/// Where everything fits, all weights stay on the device. Otherwise models give up what
/// builder/negotiation.h says, in that order, and the plan tells what and why. Infeasible:
/// kOutOfMemory with the demands that conflict. The same inputs give the same plan.
base::Result<plan::FleetPlan> make_fleet_plan(std::vector<FleetModelRequest> models,
                                              const kernels::OpTable& ops,
                                              const FleetRequest& request);

/// Makes every model's plan count on what all of them need of the machine. Again wherever a home
/// has changed.
void count_on_shared(plan::FleetPlan& fleet);

}  // namespace neuros::builder
